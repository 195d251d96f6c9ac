"""The program that carries out an operation, which kills itself at a point.

    crashing_update.py POINT[:SECONDS] ARGUMENT…

With SECONDS it waits at the point instead.

POINT may also be the path of a file that names the point; the process that takes it empties the file.
"""

import os
import signal
import sys
import time
from pathlib import Path

from engine.service.deployments.updates.process import carry_out_operation


def crash_at(point: str) -> None:
    """Kill this process at the wanted point, or wait there."""
    file = Path(sys.argv[1])
    wanted, _, how = (file.read_text() if file.is_absolute() else sys.argv[1]).partition(":")
    if point != wanted:
        return
    if file.is_absolute():
        file.write_text("")
    if how:
        time.sleep(float(how))
    else:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    try:
        carry_out_operation(sys.argv[2:], os.environ, crash_at)
    except KeyboardInterrupt:
        sys.exit(130)
