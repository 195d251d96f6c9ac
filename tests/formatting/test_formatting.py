"""Hints, lists and colours."""

import re
from pathlib import Path

import pytest

from engine import views
from engine.formatting.hints import did_you_mean, suggest_name
from engine.formatting.lists import join_alternatives, join_some
from engine.formatting.palette import AMBER, GREEN, RED


@pytest.mark.parametrize(
    ("known", "hint"),
    [
        (["Score", "age"], "; did you mean 'Score'?"),
        (["2026-11-28"], "; there is only '2026-11-28'"),
        (["a", "b"], "; there are 'a', 'b'"),
        ([], "; there are none"),
        ([str(i) for i in range(12)], "; there are " + ", ".join(f"'{i}'" for i in range(10)) + " and 2 more"),
    ],
)
def test_a_hint_names_the_similar_name_or_those_there_are(known: list[str], hint: str) -> None:
    assert suggest_name("score", known) == hint


def test_a_single_known_word_reads_well() -> None:
    assert did_you_mean("x", ["month"], "the variables are") == "there is only month"
    assert did_you_mean("x", ["month"], "psi exists for") == "psi exists for month"
    assert did_you_mean("x", [], "the variables are") == "the variables are none"


def test_long_lists_give_the_number_of_the_rest() -> None:
    assert join_alternatives("abc") == "a, b or c"
    assert join_alternatives(range(1200), most=2) == "0, 1 and 1,198 more"
    assert join_some("ab", most=2) == "a, b"


def test_pages_have_the_colours_of_mails_and_charts() -> None:
    style = Path(views.__file__).with_name("report.css").read_text(encoding="utf-8")
    assert re.search(rf"--ok: {GREEN}; --warning: {AMBER}; --error: {RED};", style)
