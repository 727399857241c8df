"""The dispatcher: it says who may run how much, and starts and ends drivers. There is one

    at every look (`dispatcher`):
      rows, heartbeats → what has become of each sweep (`states`)
        → who may run how much (`queue`, asked by `asking`) → rows, in one transaction
          → drivers started and ended (`hands`)

It remembers nothing that matters: killed at any instant, the next one goes on from the rows. What a
job of Ray's is said to be doing is never asked.
"""
