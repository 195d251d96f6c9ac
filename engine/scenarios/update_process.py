"""Updates a deployment from a run: `engine deploy` in a process of its own, which has its own locks and time limits.

So an update that has begun is brought to its end, or concluded by the next one, whatever becomes of the run.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INTERRUPTION_SECONDS = 30.0
"""An update may take that long to end when the run is interrupted; then it is killed, and the next one concludes it."""


@dataclass(frozen=True, slots=True)
class UpdateEnd:
    """How an update has ended: `problem` is why it was refused or went wrong; empty if the deployment is healthy."""

    revision: int | None
    problem: str


def start_update(
    spec: Path,
    deployment: str,
    bundle: str | None,
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> UpdateEnd:
    """Update a deployment of a spec, and return how that has ended.

    Parameters
    ----------
    variables
        Values that replace those of the spec.
    tell
        Called with what the update says, a line at a time.
    """
    arguments = ["deploy", str(spec), deployment, "--format", "json"]
    arguments += ["--bundle", bundle] if bundle is not None else []
    for name, value in variables.items():
        arguments += ["--var", f"{name}={value}"]
    return run_deploy_verb([sys.executable, "-m", "engine", *arguments], environ, tell)


def run_deploy_verb(argv: Sequence[str], environ: Mapping[str, str], tell: Callable[[str], None]) -> UpdateEnd:
    """Run a verb that prints an operation as JSON, and return how the operation has ended."""
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603 - the program is Python, the arguments are ours
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        text=True,
        start_new_session=True,  # Ctrl-C of the terminal reaches this process alone, which ends the other one
    ) as process:

        def take_lines() -> None:
            for line in process.stderr or ():
                said.append(line.rstrip())
                tell(line.rstrip())

        reader = threading.Thread(target=take_lines, daemon=True)
        reader.start()
        try:
            printed = process.stdout.read() if process.stdout else ""
            process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(INTERRUPTION_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        reader.join()
    try:
        operation = json.loads(printed)
    except ValueError:
        return UpdateEnd(None, said[-1].removeprefix("engine: error: ") if said else f"exit code {process.returncode}")
    if operation["state"] == "HEALTHY":
        return UpdateEnd(operation["to_revision"], "")
    return UpdateEnd(operation["to_revision"], f"{operation['state']}: {operation['reason']}")
