"""Random faults at random moments, and an auditor that shares no code with the product.

    make chaos                                       two hundred trials in eight kinds of sweep
    python -m tests.faults.chaos --seed 7 --trials 12 --only search-sqlite-2

`sweeps` says which sweeps are run, `faults` what is done to them, `auditor` what must hold
afterwards.
"""
