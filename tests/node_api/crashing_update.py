"""The program that carries out an operation, which kills itself at a point: crashing_update.py POINT ARGUMENT…."""

import os
import signal
import sys
import time

from engine.service.deployments.update_process import carry_out_operation


def crash_at(point: str) -> None:
    """Kill this process at the wanted point, or wait there."""
    wanted, _, how = sys.argv[1].partition(":")
    if point == wanted and how == "wait":
        time.sleep(60)
    elif point == wanted:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    try:
        carry_out_operation(sys.argv[2:], os.environ, crash_at)
    except KeyboardInterrupt:
        sys.exit(130)
