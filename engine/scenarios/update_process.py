"""Updates a deployment from a run, by `engine deploy` in a separate process with its own locks and time limits.

So an update that has begun is completed, or concluded by the next update, even if the run is killed.
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
"""Seconds in which an update must end when the run is interrupted; then it is killed, and the next one concludes it."""


@dataclass(frozen=True, slots=True)
class UpdateEnd:
    """The end of an update; `problem` is why it was refused or failed, and empty if the deployment is healthy."""

    revision: int | None
    problem: str


def start_update(
    spec: Path,
    deployment: str,
    bundle: str | None,
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    report: Callable[[str], None],
) -> UpdateEnd:
    """Update a deployment of a spec, and return how the update ended.

    Parameters
    ----------
    variables
        Values that replace those of the spec.
    report
        Called with each line that the update writes to standard error.
    """
    arguments = ["deploy", str(spec), deployment, "--format", "json"]
    arguments += ["--bundle", bundle] if bundle is not None else []
    for name, value in variables.items():
        arguments += ["--var", f"{name}={value}"]
    return run_deploy_verb([sys.executable, "-m", "engine", *arguments], environ, report)


def run_deploy_verb(argv: Sequence[str], environ: Mapping[str, str], report: Callable[[str], None]) -> UpdateEnd:
    """Run a command that prints an operation as JSON, and return how the operation ended."""
    reported: list[str] = []
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
                reported.append(line.rstrip())
                report(line.rstrip())

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
        last = reported[-1].removeprefix("engine: error: ") if reported else f"exit code {process.returncode}"
        return UpdateEnd(None, last)
    if operation["state"] == "HEALTHY":
        return UpdateEnd(operation["to_revision"], "")
    return UpdateEnd(operation["to_revision"], f"{operation['state']}: {operation['reason']}")
