"""The lines for cron of specs/scheduling.md are run as cron runs them."""

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.example import NIGHTLY_SPEC

from .guide_files import BLOCKS, FILES, as_root, needs, run, stored_nights, yesterday

CRON = {"HOME": "/tmp", "LOGNAME": "nobody", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
"""The environment that cron of Debian gives to a job."""


def crontabs() -> list[str]:
    return [body for kind, body in BLOCKS if kind == "crontab"]


def test_the_spec_of_the_page_is_the_one_of_the_example() -> None:
    assert FILES["project.yaml"] == f"# project.yaml\n{NIGHTLY_SPEC}"


@pytest.mark.slow
def test_the_five_lines_of_a_newcomer_work_in_a_fresh_checkout(checkout: Path, python: Path, tmp_path: Path) -> None:
    """`crontab` keeps the lines that it is given in a file; the line is then run as cron would run it."""
    here = Path(shutil.copytree(checkout, tmp_path / "a checkout"))
    kept = tmp_path / "kept"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "crontab").write_text(f'#!/bin/sh\n[ "$1" = - ] && cat >{kept}\n', encoding="utf-8")
    (tmp_path / "bin" / "crontab").chmod(0o755)
    lines = BLOCKS[0][1].splitlines()
    assert len(lines) == 5
    path = f"{tmp_path}/bin:{python}:{os.environ['PATH']}"
    for line in lines:
        done = run(line, here, os.environ | {"PATH": path})
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    (entry,) = kept.read_text(encoding="utf-8").splitlines()
    night = run(entry.removeprefix("30 4 * * * "), Path("/"), CRON)
    assert (night.returncode, night.stdout, night.stderr) == (0, "", "")
    assert f"evaluation {yesterday()} reused" in (here / "nightly" / "run.log").read_text(encoding="utf-8")


def test_a_line_for_cron_prints_the_end_of_the_log_if_the_night_failed(
    project: Path, in_project: Callable[[str], str]
) -> None:
    """So that cron mails it; and nothing is printed of a night without a finding."""
    line = in_project(crontabs()[0]).splitlines()[-1].removeprefix("30 4 * * * ")
    good = run(line, Path("/"), CRON)
    assert (good.stdout, good.stderr) == ("", "")
    (project / "incoming" / f"orders-{yesterday()}.csv").unlink()
    bad = run(line, Path("/"), CRON)
    assert f"there is no file incoming/orders-{yesterday()}.csv" in bad.stdout


@pytest.mark.slow
@as_root
@needs("cron", "crontab", "unshare")
def test_cron_accepts_the_crontabs_and_runs_the_job(project: Path, in_project: Callable[[str], str]) -> None:
    """A cron with a spool of its own. The job is due in each minute instead of once a night: it takes up to one."""
    table = project / "table"
    table.write_text(in_project(crontabs()[0]).replace("\n30 4 * * *", "\n* * * * *"), encoding="utf-8")
    (project / "of_docker").write_text(crontabs()[1], encoding="utf-8")
    script = """
        mount -t tmpfs none /run && mount -t tmpfs none /var/spool/cron || exit
        mkdir -m 1730 /var/spool/cron/crontabs || exit
        crontab of_docker && crontab table || exit
        cron -f & daemon=$!
        for wait in $(seq 180); do
            [ -d .engine/nightly/runs ] && grep -q '^orders$' run.log && break
            sleep 0.5
        done
        kill $daemon
    """
    done = run(["unshare", "--mount", "/bin/sh", "-c", script], project)
    assert done.returncode == 0, done.stderr
    assert f"evaluation {yesterday()}" in (project / "run.log").read_text(encoding="utf-8")
    assert stored_nights(project / ".engine", project) == {yesterday()}


@pytest.mark.slow
def test_a_step_waits_for_a_late_file(project: Path) -> None:
    """The step of the page, with seconds instead of half an hour."""
    (steps,) = (body for kind, body in BLOCKS if kind == "yaml" and body.startswith("steps:"))
    spec = project / "project.yaml"
    indented = "".join(f"    {line}\n" for line in steps.splitlines())
    text, changed = re.subn(r"    steps:\n( {6}- .*\n)+", indented, spec.read_text(encoding="utf-8"))
    assert changed == 1
    spec.write_text(text.replace("delay: 30m", "delay: 2s"), encoding="utf-8")
    late = project / "incoming" / f"orders-{yesterday()}.csv"
    (delivery := project / "delivery.csv").write_bytes(late.read_bytes())
    late.unlink()

    def deliver() -> None:
        log = project / ".engine" / "nightly" / "runs"
        while not any("there is no file" in one.read_text(encoding="utf-8") for one in log.glob("*/log.txt")):
            time.sleep(0.05)
        delivery.rename(late)

    threading.Thread(target=deliver, daemon=True).start()
    night = run([sys.executable, "-m", "engine", "run", "project.yaml"], project)
    assert night.returncode == 0, night.stdout + night.stderr
    assert "there is no file" in night.stderr
    assert stored_nights(project / ".engine", project) == {yesterday()}
