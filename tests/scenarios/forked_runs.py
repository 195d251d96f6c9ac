"""Loads the engine once, then forks `engine run` for each spec named on standard input: fifty starts in one's time.

Prints the run's pid, and how it ended when it has.
"""

import os
import sys

import engine.cli.output
import engine.drift.classifier.domain_classifier
import engine.drift.comparison
import engine.models.training
import engine.scenarios.session  # noqa: F401 - all are loaded for the forks
from engine.cli.main import _main

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["engine", "run", line.strip()]
        os._exit(_main())
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
