"""What the service remembers: people, sweeps, leases, heartbeats, events. SQLAlchemy lives here

Who may write what: the pages and the API write what people want (`sweeps`, `orders`, people and
tokens); the dispatcher writes `leases` and begins a driver's row; a driver writes its row from then
on, its `usage` and `events`, as long as its attempt is the newest.
"""
