"""The page of a report, whatever columns are called."""

import dataclasses
import re

import pytest

from engine.formatting.numbers import format_figure
from engine.pipeline.reports import collect_report_facts
from engine.scenarios import session
from engine.spec import load
from engine.views import describe_evaluation, draw_overview, render_page

from .reported_project import COLUMN, NAME, PLANTED, Reader, facts, many, view


@pytest.mark.parametrize("store", ["two", "number", "three"])
def test_a_page_loads_nothing_and_names_are_only_names(project, store):
    text = render_page(view(project, store))
    read = Reader(text)
    assert all(link.startswith(("#", "http://127.0.0.1:7310/runs/")) for link in read.loaded)
    assert not re.search(r"url\(|@import|//cdn", text)
    assert "img" not in read.elements
    assert read.elements["script"] == 1
    assert COLUMN in read.text
    assert NAME in read.text
    assert len(text.encode()) < 300_000


def test_a_page_shows_all_there_is(project):
    two, number, three = (Reader(render_page(view(project, store))).text for store in ("two", "number", "three"))
    for said in (
        "Over time",
        "ROC curve",
        "Precision and recall",
        "Calibration",
        "Confusion matrix",
        "Fugacity",
    ):
        assert said in two
    assert "not worse" in two
    assert "columns drifted: age (" in two
    assert "dangerous" in two
    assert "Predicted against true" in number
    assert "Residuals" in number
    assert "Decile of the reference" in number
    assert {"low", "mid", "high"} <= set(three.split())
    areas = view(project, "three").evaluation.performance.roc_auc_by_class
    assert areas.keys() == {"low", "mid", "high"}
    shown = three.partition("Area under the ROC curve of each class against the rest, smallest first")[2]
    listed = [f"{name} {format_figure(area)}" for name, area in sorted(areas.items(), key=lambda one: one[1])]
    assert " ".join(shown.split()).startswith(f"Class roc_auc {' '.join(listed)}")
    assert "The store declares no checks." in three
    assert " OK " not in three
    assert "On all rows, R² is" in number


def test_secrets_are_masked_everywhere(project):
    with session.open_session(load(project, environ={}), environ={"TOKEN": PLANTED}) as context:
        evaluation = context.store.evaluations.find_by_name("two", NAME)
        assert evaluation is not None
        assert evaluation.labels == {"who": "***"}  # the store holds no secret either
        hidden = dataclasses.replace(
            evaluation, columns={f"{PLANTED} {name}": column for name, column in evaluation.columns.items()}
        )
        text = render_page(describe_evaluation(collect_report_facts(hidden, context)), context.secrets.redact)
    assert "***" in text
    assert "pl&nted" not in text
    assert "pl&amp;nted" not in text
    assert "pl\\u003c" not in text
    assert "Zq7" not in text


@pytest.mark.parametrize(("columns", "limit"), [(30, 300_000), (2000, 300_000)])
def test_a_page_of_many_columns_is_small(project, columns, limit):
    shown = facts(project, "two")
    wide = dataclasses.replace(
        shown, evaluation=dataclasses.replace(shown.evaluation, **many(shown.evaluation, columns))
    )
    shown_wide = describe_evaluation(wide)
    text = render_page(shown_wide)
    assert len(text.encode()) < limit
    assert text.index(f"column {columns - 1:04}") < text.index(f"column {columns - 2:04}")  # sorted by drift
    assert draw_overview(shown_wide, str)[:8] == b"\x89PNG\r\n\x1a\n"
