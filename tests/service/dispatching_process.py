"""A dispatcher in a process of its own, to be killed: `python -m tests.service.dispatching_process
FOLDER`. Its drivers are processes that outlive it, and what it waits for is short."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from sweeper.home import Home
from sweeper.service.dispatching import dispatcher, states
from sweeper.service.dispatching.dispatcher import Dispatcher
from sweeper.service.queue.asking import Machine
from sweeper.service.settings import database_url
from sweeper.service.state.database import Database
from tests.service.jobs import Processes

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    states.SILENT, states.START_WITHIN = 5.0, 60.0
    dispatcher.LOOK_EVERY = 0.2
    home = Home.at()
    url = database_url(home)
    jobs = Processes(Path(sys.argv[1]), home, url, [Machine.all_ours("box", 3)])
    Dispatcher(Database(url), jobs, lambda sweep_id: True).run()
