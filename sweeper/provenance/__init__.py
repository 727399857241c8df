"""Where a number comes from: what a sweep and each of its trials were made of, and whether a trial
that is trained again comes to the same.

NAME/provenance/DIGEST/   `run_record`: written by the driver, one for each way it was ever run
    run.json              command, folder, versions, parts, seeds, commit
    requirements.txt      every installed distribution, as pip takes it
    changes.patch         what was not committed
NAME/trials/00012/provenance.json
                          `attempts`: written by the worker, where the trial ran
"""
