"""`engine deploy` that kills itself when it comes to a point: crashing_deploy.py SPEC BUNDLE POINT."""

import os
import signal
import sys
from pathlib import Path

from engine.service.deployments.deploying import deploy_bundle
from engine.spec import load


def crash_at(point: str) -> None:
    """Kill this process at the wanted point."""
    if point == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    project = load(Path(sys.argv[1]))
    print("ready", flush=True)
    deploy_bundle(project, "production", sys.argv[2], environ=os.environ, now=True, again=True, checkpoint=crash_at)
