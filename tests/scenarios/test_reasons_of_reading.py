"""Why a dataset of files is read again is told rightly when one of the files was written in another way."""

from collections.abc import Callable
from pathlib import Path

from engine.scenarios import scenario_selection, session
from engine.spec import load

Spec = Callable[[str], Path]

FEED = """
    datasets:
      sales:
        path: sales_*.csv
        pick: newest
        csv: {separator: ";"}
        columns: {price: {type: number}}
        checks: {rows: {metric: row_count, min: 1}}
    scenarios: {Read: {steps: [{name: Read, kind: compute_metrics, target: sales}]}}
"""


def test_a_decimal_comma_is_reported_and_is_not_another_kind_of_dataset(spec: Spec, tmp_path: Path) -> None:
    path = spec(FEED)

    def read(day: int, price: str) -> str:
        (tmp_path / f"sales_2026-05-{day:02}.csv").write_text(f"shop;price\na;{price}\n")
        project = load(path, environ={})
        called = session.run_scenarios(project, scenario_selection.select_scenarios(project), environ={})
        (action,) = [action for run in called.runs for step in run.all_steps() for action in step.actions]
        return "; ".join(change.says for change in action.changes)

    read(1, "1.5")
    new, gone, how = read(2, "2,5").split("; ")
    assert (new, gone) == (
        "dataset sales: file sales_2026-05-02.csv is new",
        "dataset sales: file sales_2026-05-01.csv is gone",
    )
    assert how == 'dataset sales: column price is now read with type "number", decimal ","'
    assert read(3, "3.5").startswith("dataset sales: file sales_2026-05-03.csv is new")
