"""Random faults at random moments, and an auditor that shares no code with the product.

    make chaos                                       60 faults in eight kinds of sweep
    python -m tests.faults.chaos --seed 7 --faults 20

`sweeps` says which sweeps are run, `faults` what is done to them, `auditor` what must hold
afterwards.
"""
