"""`python -m sweeper.service.driving SWEEP_ID ATTEMPT`: a driver, as the dispatcher starts it.

The environment says the rest, as it does for `sweeper run`: $SWEEPER_HOME, $SWEEPER_DATABASE,
$RAY_ADDRESS, libpq's own for passwords. Nothing secret stands among the arguments, which everybody
on the machine can read.
"""

from __future__ import annotations

import logging
import sys

from sweeper.errors import SweeperError
from sweeper.home import Home
from sweeper.scheduling.run import run
from sweeper.service.driving.drive import drive
from sweeper.service.settings import database_url
from sweeper.service.state.database import Database


def main(arguments: list[str]) -> int:
    """Drive; the exit status says whether the outcome was left in the database."""
    if len(arguments) != 2 or not arguments[1].isdigit():
        print("usage: python -m sweeper.service.driving SWEEP_ID ATTEMPT", file=sys.stderr)
        return 2
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    try:
        home = Home.at()
        return drive(Database(database_url(home)), home, arguments[0], int(arguments[1]), run)
    except SweeperError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
