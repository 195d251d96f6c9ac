"""`engine remove` on a project of three weeks: what it removes, and when it asks or refuses."""

import json
import re
import shutil
from pathlib import Path

import pytest

import engine

from .three_weeks import Engine, run_on_a_terminal


def test_remove_removes_and_the_store_says_so(said_to_a_copy: Engine) -> None:
    said = said_to_a_copy
    assert said("remove", "drift", "w1", "w2", "--yes").out.splitlines() == [
        "drift: removed w1, 1 evaluation",
        "drift: removed w2, 1 evaluation",
    ]
    shown = said("show", "drift").out
    assert re.search(r"w1, w2 were removed by \S+@\S+ on \d{4}-\d\d-\d\d", shown)
    assert "w3" in shown


def test_remove_is_aimed_by_label_and_time_and_compare_then_uses_what_is_left(said_to_a_copy: Engine) -> None:
    said = said_to_a_copy
    assert said("remove", "drift", "--before", "2020-01-01", "--yes").out == (
        "drift: nothing was removed, because no evaluation meets the conditions\n"
    )
    both = said("remove", "drift", "--label", "parity=w2", "--before", "2999-01-01", "--yes")
    assert (both.code, both.out) == (0, "drift: removed w2, 1 evaluation\n")
    assert json.loads(said("compare", "drift", "w3", "--format", "json").out)["compared_with"] == "w1"
    assert said("remove", "drift", "--all", "--yes").out.splitlines() == [
        "drift: removed w1, 1 evaluation",
        "drift: removed w3, 1 evaluation",
    ]
    shown = said("show", "drift").out
    assert "nothing yet" in shown
    assert re.search(r"w1, w3 were removed by|w2, w1, w3 were removed by", shown)
    assert not list(Path(".engine/weeks/evaluations").iterdir())
    assert said("run", "all weeks").code == 0  # the folders that are gone are needed by nothing


def test_remove_is_refused_while_a_run_writes(said_to_a_copy: Engine) -> None:
    with (
        engine.load("weeks.yaml").open_session() as context,
        context.lock("evaluation store drift"),
    ):
        refused = said_to_a_copy("remove", "drift", "--all", "--yes")
    assert refused.code == 3
    assert "evaluation store drift is busy: held by" in refused.err
    assert "w3" in said_to_a_copy("show", "drift").out


@pytest.mark.parametrize(
    ("arguments", "help_"),
    [
        ((), "choose them by --label, --before, --origin or --all"),
        (("--all", "--label", "parity=w1"), "leave it out"),
        (("--label", "parity=w9"), "there are 'w1', 'w2', 'w3'"),
        (("--label", "week=w1"), "there is only 'parity'"),
        (("--before", "yesterday"), "not a time such as 2026-11-28"),
        (("w9",), "there is no evaluation 'w9'"),
    ],
)
def test_what_remove_cannot_aim_at_is_reported(arguments: tuple[str, ...], help_: str, said: Engine) -> None:
    refused = said("remove", "drift", *arguments, "--yes")
    assert refused.code == 2
    assert help_ in refused.err


def test_on_a_terminal_remove_asks_first(built: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(built, tmp_path / "copy")
    told = run_on_a_terminal(folder, 80, "remove", "weeks.yaml", "drift", "w1", answer="n\n")
    assert "Remove w1 from drift? [y/N]" in told
    assert "nothing was removed" in told
    assert "removed w1" in run_on_a_terminal(folder, 80, "remove", "weeks.yaml", "drift", "w1", answer="y\n")
