"""What a trial takes of a machine, and how many may therefore share one: `auto` in `resources`

shape     trials that cost the same: networks, sizes, batch, tricks, precision
gauges    measure what a process takes while it trains
shares    what a trial is given, from what trials of its shape took
learnt    what all sweeps of a home have seen, kept beside its cache
mps       NVIDIA's service under which trials on one GPU compute at the same time
"""
