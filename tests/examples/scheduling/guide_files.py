"""The files of specs/scheduling.md, taken from the page, and how they are run.

Only the folder of the project is replaced. Where a program is missing that runs one, the reason of the skip says which;
`.ci/run` installs them. Nothing touches the machine's own crontabs, units and images: each test has its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

GUIDE = (ROOT / "specs" / "scheduling.md").read_text(encoding="utf-8")

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)

FILES = {body.partition("\n")[0].removeprefix("# "): body for _, body in BLOCKS if re.match(r"# \S+\n", body)}

Done = subprocess.CompletedProcess[str]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may make mounts of its own")


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [one for one in programs if shutil.which(one) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)}")


def run(command: list[str] | str, folder: Path, env: Mapping[str, str] = os.environ, seconds: int = 240) -> Done:
    """Run a program, or a text as `/bin/sh -c` runs it."""
    whole = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    return subprocess.run(
        whole, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip


def yesterday(days: int = 1) -> str:
    return str(datetime.now(UTC).date() - timedelta(days=days))


def stored_nights(state: Path, folder: Path) -> set[str]:
    """Return the names of the evaluations that a state holds."""
    shown = run(
        [sys.executable, "-m", "engine", "show", "project.yaml", "orders", "--format", "json"],
        folder,
        os.environ | {"STATE_DIRECTORY": str(state)},
    )
    assert shown.returncode == 0, shown.stderr
    return {one["name"] for one in json.loads(shown.stdout)}
