"""Plans and reports from Python are those of the command line."""

import json
from pathlib import Path

import pytest

import engine
from engine.errors import UsageError
from engine.outcome import ExitCode

from ..command_line import call_engine


def run_command(*arguments: str | Path) -> str:
    return call_engine(Path.cwd(), *arguments).stdout


def test_a_plan_is_that_of_the_command_line(shop_copy: engine.Project) -> None:
    plan = shop_copy.plan("watch")
    assert plan.exit_code is ExitCode.OK
    assert json.loads(plan.model_dump_json()) == json.loads(
        run_command("plan", shop_copy.spec.path, "watch", "--format", "json")
    )
    with pytest.raises(UsageError, match="there is no scenario 'wacth'"):
        shop_copy.plan("wacth")


def test_a_report_is_that_of_the_command_line(shop_copy: engine.Project, tmp_path: Path) -> None:
    written = shop_copy.store("mes").report(tmp_path / "new" / "page.html", "w2")
    assert written == tmp_path / "new" / "page.html"
    run_command("report", shop_copy.spec.path, "mes", "w2", "-o", tmp_path / "other.html")
    first, second = [(tmp_path / name).read_text() for name in ("new/page.html", "other.html")]
    assert first == second
    assert shop_copy.store("mes").report(tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
