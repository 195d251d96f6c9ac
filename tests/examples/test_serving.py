"""The pieces of specs/serving.md, taken from the page: the spec is served, the requests are sent, the unit is verified.

Replaced are the folder and the port, which must be free; the file of yesterday has the rows of the example.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ..waiting import wait_for

GUIDE = (Path(__file__).parents[2] / "specs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
SPEC = next(body for kind, body in BLOCKS if kind == "yaml" and "scenarios:" in body)
REQUESTS = next(body for kind, body in BLOCKS if kind == "sh" and "curl" in body)
UNIT = next(body for kind, body in BLOCKS if kind == "ini")
TOKEN = "a-token-that-nobody-guesses-0123456789"
ENGINE = [sys.executable, "-m", "engine"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of the spec of the page, with the data of the example."""
    done = subprocess.run(
        [*ENGINE, "init", ".", "--example", "nightly"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (delivered,) = (tmp_path / "incoming").iterdir()
    yesterday = datetime.now(ZoneInfo("Europe/Berlin")).date() - timedelta(days=1)
    delivered.rename(delivered.with_name(f"orders-{yesterday}.csv"))
    (tmp_path / "project.yaml").write_text(SPEC, encoding="utf-8")
    return tmp_path


@pytest.fixture
def said(project: Path) -> Iterator[Path]:
    """Serve the spec at any free port; give the file of what the server says."""
    file = project / "said.txt"
    with file.open("wb") as output:
        process = subprocess.Popen(
            [*ENGINE, "serve", "project.yaml", "--listen", "127.0.0.1:0"],
            cwd=project,
            env={**os.environ, "ENGINE_SERVE_TOKEN": TOKEN},
            stdout=output,
            stderr=output,
        )
    try:
        yield file
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, file.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_spec_is_served_and_answers_the_requests_of_the_page(said: Path, project: Path) -> None:
    begin = wait_for(lambda: re.search(r"^.* nightly: served from .*$", said.read_text(), re.MULTILINE), "its start")
    due = r"1 active trigger, the next time is \S+ 0[23]:30 UTC \(\S+ 04:30 Europe/Berlin\)$"
    assert re.search(due, begin[0]), begin[0]
    port = wait_for(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", said.read_text()), "its port")[1]
    asked = subprocess.run(
        ["/bin/sh", "-e", "-c", REQUESTS.replace("7310", port).replace("curl ", "curl -sS -f -w '\\n' ")],
        cwd=project,
        env={**os.environ, "ENGINE_SERVE_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (asked.returncode, asked.stderr) == (0, "")
    health, triggers, run, fires, paused = [json.loads(line) for line in asked.stdout.splitlines() if line]
    assert health["ready"] is True
    assert [(one["trigger"], len(one["next"])) for one in triggers["triggers"]] == [("every night", 5)]
    assert [one["number"] for one in fires["fires"]] == [run["fire"]["number"]]
    assert paused["paused"] == "nightly"
    wait_for(lambda: re.search(r"nightly, manual of \S+ \S+ UTC -> run \w+ -> SUCCESS", said.read_text()), "the run")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    program = tmp_path / ".venv" / "bin" / "engine"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "engine.service").write_text(UNIT.replace("/srv/specs", str(tmp_path)), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "./engine.service"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
