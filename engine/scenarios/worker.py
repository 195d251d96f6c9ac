"""The process of a step with a timeout, `python -m engine.scenarios.worker`: `process.py` orders on standard input."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.scenarios import steps
from engine.scenarios.log import Line
from engine.scenarios.session import opened
from engine.spec import load


def _obey(order: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    """Run the step that was ordered, in this process, and say what it found."""
    project = load(Path(order["spec"]), order["overrides"])

    def tell(line: Line) -> None:
        say({"line": {**asdict(line), "at": line.at.isoformat()}})

    def show(preview: str) -> None:
        say({"preview": preview})

    with opened(
        project,
        environ=os.environ,
        listeners=[tell],
        preview=show if order["preview"] else None,
        mode=order["mode"],
        state=Path(order["state"]),
    ) as context:
        step = context.scenario(order["scenario"]).steps[order["index"]]
        log = replace(context.log, folder=Path(order["folder"]), scenario=order["scenario"], step=step.name)
        facts = {name: order[name] for name in ("built", "run", "trigger")}
        say({"ready": True})
        result = steps.run(step, replace(context, log=log, under=tuple(order["under"]), **facts))
        say({"result": result.model_dump(mode="json")})


def _main() -> None:
    """Keep standard output for what is said to the parent: a user's function may print."""
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(message: dict[str, Any]) -> None:
        said.write(json.dumps(message) + "\n")
        said.flush()

    _obey(json.load(sys.stdin), say)


if __name__ == "__main__":
    _main()
