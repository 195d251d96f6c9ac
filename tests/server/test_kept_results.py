"""Results of pages are kept while nothing they were made from has changed, and for a minute at most."""

from pathlib import Path

from engine.server.pages.kept_results import LONGEST_KEPT, KeptResults
from engine.spec import load


def test_a_result_is_made_anew_for_another_state_another_spec_and_after_its_time(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("version: 1\nproject: p\ndatasets: {rows: {path: rows.csv}}\n")
    spec, other = load(tmp_path / "spec.yaml"), load(tmp_path / "spec.yaml")
    times = iter([0.0, 1.0, 2.0, 3.0, 3.0 + LONGEST_KEPT - 1, 3.0 + LONGEST_KEPT])
    results, made = KeptResults[int](2, lambda: next(times)), iter(range(10))
    asked = [(spec, 1), (spec, 1), (spec, 2), (other, 2), (other, 2), (other, 2)]
    found = [results.get("list", one, state, lambda: next(made)) for one, state in asked]
    assert found == [0, 0, 1, 2, 2, 3]
