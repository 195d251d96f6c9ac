"""The variables of a trigger are kept as they are written, and have their values when it fires."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from engine.spec import ProjectSpec, load
from engine.spec.trigger_variables import resolve_trigger_variables
from engine.spec.variables.moment import list_moment_values
from engine.spec.variables.references import Value

SPEC = """
version: 1
project: nights
variables: {day: "${as_of}", rows: 5, label: none, share: 0.5, whole: false}
datasets:
  a: {path: "a-${label}.csv"}
scenarios:
  nightly:
    triggers:
      - {name: at night, cron: "30 2 * * *", variables: {%s}}
    steps: [{name: Build, kind: build, target: a}]
"""


def read(tmp_path: Path, variables: str, **given: str) -> ProjectSpec:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC % variables, encoding="utf-8")
    return load(spec, given, as_of=date(2026, 12, 1))


def names_at(moment: datetime) -> dict[str, Value]:
    return {
        **list_moment_values(moment),
        "previous_as_of": date(2026, 1, 1),
        "previous_as_of_time": "2026-01-01T02:30:00",
        "changed": "a, b",
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('day: "${as_of}"', {"day": "2026-01-02"}),
        ('day: "${as_of - 7d}"', {"day": "2025-12-26"}),
        ('day: "${day + 1d}"', {"day": "2026-01-03"}),  # the variable's value at the fire, not when the spec was read
        ('day: "${previous_as_of}"', {"day": "2026-01-01"}),
        ('label: "${previous_as_of_time} to ${as_of_time}"', {"label": "2026-01-01T02:30:00 to 2026-01-02T02:30:00"}),
        ('label: "${changed}, ${rows} rows"', {"label": "a, b, 5 rows"}),
        ('label: "$${as_of}"', {"label": "${as_of}"}),
        ("rows: 6, share: 0.25, whole: true", {"rows": "6", "share": "0.25", "whole": "true"}),
    ],
)
def test_a_fire_fills_in_the_values_of_its_own_moment(tmp_path: Path, written: str, expected: dict[str, str]) -> None:
    project = read(tmp_path, written)
    assert (
        resolve_trigger_variables(project, "nightly", "at night", names_at(datetime(2026, 1, 2, 2, 30, tzinfo=UTC)))
        == expected
    )
    project.with_variables(expected)  # what it returns can be given to a run


def test_a_value_from_the_command_line_holds_for_fires_too(tmp_path: Path) -> None:
    project = read(tmp_path, 'label: "${day}"', day="2020-02-02")
    found = resolve_trigger_variables(project, "nightly", "at night", names_at(datetime(2026, 1, 2, tzinfo=UTC)))
    assert found == {"label": "2020-02-02"}


def test_a_rendered_spec_keeps_what_a_trigger_fills_in_later(tmp_path: Path) -> None:
    project = read(tmp_path, 'day: "${as_of - 1d}", label: "$${x} ${changed}", rows: 6')
    (tmp_path / "again.yaml").write_text(project.render(), encoding="utf-8")
    again = load(tmp_path / "again.yaml")
    assert again.scenarios["nightly"].triggers == project.scenarios["nightly"].triggers
    assert again.scenarios["nightly"].triggers[0].variables == {
        "day": "${as_of - 1d}",
        "label": "$${x} ${changed}",
        "rows": 6,
    }
