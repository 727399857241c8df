"""A driver's side of the service: the process of one sweep, steered by rows in place of a file

python -m sweeper.service.driving SWEEP_ID ATTEMPT

drive       opens the home, runs the sweep by `sweeper.scheduling.run`, leaves the outcome
post        the thread that talks with the database, so that the sweep never waits for it
steering    what the sweep asks and says meanwhile, answered from what the post has
telling     what happens, as events of the service's stream
"""
