"""`age` and `repeated_share`: data that do not change get older, and rows of the batch before are recognized."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.data import RowCounts
from engine.errors import SpecError
from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome
from engine.scenarios import scenario_selection, session
from engine.scenarios.session import CallResult
from engine.spec import load
from engine.views.ranges import format_bounds

Spec = Callable[[str], Path]
RunAt = Callable[..., CallResult]


def at(*moment: int) -> datetime:
    """A time without a zone, as files have it: it is UTC."""
    return datetime(*moment)


NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

FEED = """
    datasets:
      orders:
        path: orders.parquet
        checks:
          fresh: {metric: age.at, soft_min: 0, soft_max: 24h, max: 36h}
"""
REPEATED = """
    datasets:
      orders:
        path: orders.parquet
        checks:
          new rows: {metric: repeated_share, soft_max: 0.1, max: 0.9, when_empty: ok}
    scenarios:
      Read: {steps: [{name: Check, kind: run_checks, target: orders}]}
"""


@pytest.fixture
def run_at(tmp_path: Path) -> RunAt:
    """Run the project as if it were that time."""

    def run(
        moment: datetime = NOON, *, dry: bool = False, as_of: datetime | None = None, **variables: object
    ) -> CallResult:
        project = load(tmp_path / "project.yaml", variables, environ={}, as_of=as_of)
        names = scenario_selection.select_scenarios(project)
        return session.run_scenarios(project, names, environ={}, clock=lambda: moment, dry=dry)

    return run


@pytest.fixture
def orders(tmp_path: Path) -> Callable[..., None]:
    def write(name: str = "orders.parquet", **columns: Any) -> None:
        pl.DataFrame(columns).write_parquet(tmp_path / name)

    return write


def checks(called: CallResult) -> list[CheckResult]:
    return [check for run in called.runs for step in run.all_steps() for check in step.checks]


def only_check(called: CallResult) -> CheckResult:
    (check,) = checks(called)
    return check


CHECK_ORDERS = "    scenarios: {Read: {steps: [{name: Check, kind: run_checks, target: orders}]}}\n"


def test_a_dataset_that_does_not_change_gets_older(spec: Spec, run_at: RunAt, orders: Callable[..., None]) -> None:
    orders(at=[at(2026, 3, 9, 12), at(2026, 3, 10, 6)], x=[1, 2])
    spec(FEED + CHECK_ORDERS)
    first = run_at(NOON)
    assert (only_check(first).outcome, only_check(first).value) == (CheckOutcome.OK, 6 * 3600)
    later = run_at(NOON + timedelta(hours=20))
    assert (only_check(later).outcome, only_check(later).value) == (CheckOutcome.WARNING, 26 * 3600)
    assert only_check(later).reason == "26h is above soft_max 24h"
    assert format_bounds(only_check(later).bounds) == "soft_min 0s, soft_max 24h, max 36h"
    actions = [action for run in later.runs for step in run.all_steps() for action in step.actions]
    assert [(action.kind, action.because) for action in actions] == [("read", "reused"), ("check", "always")]
    much_later = run_at(NOON + timedelta(days=10))
    assert only_check(much_later).reason == "10.2d is above max 36h"
    again = run_at(NOON + timedelta(hours=20))  # ages are counted from the measurement, not from the run before
    assert only_check(again).value == 26 * 3600


def test_a_night_that_is_made_up_for_is_as_fresh_as_it_was(
    spec: Spec, run_at: RunAt, orders: Callable[..., None]
) -> None:
    orders(at=[at(2026, 3, 10, 6)])
    spec(FEED + CHECK_ORDERS)
    later = NOON + timedelta(days=20)
    assert only_check(run_at(later, as_of=NOON)).value == 6 * 3600
    assert only_check(run_at(later, as_of=NOON + timedelta(hours=20))).value == 26 * 3600  # reused
    assert only_check(run_at(later, as_of=NOON - timedelta(hours=9))).value == 0  # it came after that moment
    assert only_check(run_at(later)).value == (20 * 24 + 6) * 3600
    orders(at=[at(2026, 4, 1)])
    assert only_check(run_at(later, as_of=NOON)).value == -36 * 3600  # that is in the future even now


def test_new_rows_make_it_young_again(spec: Spec, run_at: RunAt, orders: Callable[..., None]) -> None:
    spec(FEED + CHECK_ORDERS)
    orders(at=[at(2026, 3, 1)])
    assert only_check(run_at()).outcome is CheckOutcome.ERROR
    orders(at=[at(2026, 3, 1), at(2026, 3, 10, 11)])
    assert only_check(run_at()).value == 3600


def test_a_time_in_the_future_is_a_negative_age_and_is_reported(
    spec: Spec, run_at: RunAt, orders: Callable[..., None], tmp_path: Path
) -> None:
    spec(FEED + CHECK_ORDERS)
    orders(at=[at(2026, 3, 10), at(2099, 1, 1)])
    called = run_at()
    assert only_check(called).outcome is CheckOutcome.WARNING
    assert "is below soft_min 0s" in only_check(called).reason
    spec(FEED.replace("soft_min: 0, ", "") + CHECK_ORDERS)
    called = run_at()
    assert only_check(called).outcome is CheckOutcome.OK
    log = (tmp_path / ".engine" / "test" / called.runs[0].log).read_text(encoding="utf-8")
    assert "dataset orders: age.at is negative: its newest time is 26600d ahead" in log


def test_an_age_decides_a_run_condition(spec: Spec, run_at: RunAt, orders: Callable[..., None]) -> None:
    orders(at=[at(2026, 3, 10)])
    spec(
        FEED
        + """
    scenarios:
      Read:
        steps:
          - {name: Look, kind: run_checks, target: orders}
          - {name: Late, kind: set_variables, variables: {late: 1}, run_condition: "metrics['age.at'] > 90000"}
    variables: {late: 0}
"""
    )
    outcomes = [[step.outcome.value for step in run_at(NOON + timedelta(hours=h)).runs[0].steps] for h in (0, 14)]
    assert outcomes == [["SUCCESS", "SKIPPED"], ["WARNING", "SUCCESS"]]


def test_a_message_writes_ages_and_their_bounds_as_durations(
    spec: Spec, run_at: RunAt, orders: Callable[..., None], tmp_path: Path
) -> None:
    orders(at=[at(2026, 3, 1)])
    spec(
        FEED
        + """
    channels: {box: {kind: file, path: box}}
    scenarios:
      Read:
        steps: [{name: Look, kind: run_checks, target: orders}]
        reporters: [{name: Tell, channel: box, subject: Stale, message: "${errorsEventsSummary}"}]
"""
    )
    run_at()
    (letter,) = (tmp_path / "box").iterdir()
    assert "fresh: age.at is 9.5d, allowed: soft_min 0s, soft_max 24h, max 36h (" in letter.read_text(encoding="utf-8")


def test_a_column_of_text_has_no_age_and_the_message_says_what_to_do(
    spec: Spec, run_at: RunAt, orders: Callable[..., None]
) -> None:
    spec(FEED + CHECK_ORDERS)
    orders(at=["2026-03-10"])
    check = only_check(run_at())
    assert check.outcome is CheckOutcome.ERROR
    assert check.reason == (
        "dataset 'orders': age.at needs dates or times, but column 'at' is text: "
        "declare its type under columns (at: {type: datetime}), or convert it in a query"
    )


def test_a_plan_tells_which_columns_have_an_age(spec: Spec, orders: Callable[..., None]) -> None:
    orders(at=[at(2026, 3, 1)], day=["2026-03-01"])
    path = spec(
        FEED
        + """
          gaps: {metric: missing_share.at, max: 0.1}
          days: {metric: age.day, max: 36h}
"""
        + CHECK_ORDERS
    )
    findings = session.plan_scenarios(load(path, {}, environ={}), ["Read"], environ={}).findings
    (finding,) = [one for one in findings if one.code != "read-as-text"]
    assert finding.message == "column 'day' is categorical, so it has no age"
    assert finding.help == "declare its type: date or datetime"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("{metric: row_count, max: 36h}", "max is a duration, but row_count is a number"),
        ("{metric: age.at, compare: previous, change: relative, max: 1h}", "the relative change of age.at is a number"),
        (
            "{metric: 'age.*', max: 2h, except: {age.at: {max: 1h, soft_max: 3h}}}",
            "max 1h is below soft_max 3h",
        ),
        ("{metric: age.at, max: 1 week}", "must be a number or a duration such as 90s, 15m, 2h or 1d"),
    ],
)
def test_wrong_durations(check: str, said: str, spec: Spec) -> None:
    path = spec(f"    datasets: {{orders: {{path: o.parquet, checks: {{it: {check}}}}}}}")
    with pytest.raises(SpecError, match=re.escape(said)):
        load(path)


def batch(first: int, last: int, **more: Any) -> Mapping[str, Any]:
    return {"id": list(range(first, last)), "x": [i / 10 for i in range(first, last)], **more}


def test_rows_of_the_batch_before_are_recognized(spec: Spec, run_at: RunAt, orders: Callable[..., None]) -> None:
    spec(REPEATED)
    orders(**batch(0, 100))
    first = only_check(run_at())
    assert (first.outcome, first.counts_as) == (CheckOutcome.EMPTY, CheckOutcome.OK)
    assert "first batch" in first.reason
    orders(**batch(75, 175))
    second = only_check(run_at())
    assert (second.outcome, second.value) == (CheckOutcome.WARNING, 0.25)
    orders(**batch(200, 300))
    assert only_check(run_at()).value == 0
    orders(**batch(200, 300, y=[1] * 100))  # a column more: the rows are the same in all others
    assert only_check(run_at()).value == 1
    orders(id=list(range(200, 300)), y=[1] * 100)
    assert "had the column 'x', this one has not" in only_check(run_at()).reason
    orders(id=[str(i) for i in range(100)], y=[1] * 100)
    assert "column 'id' is text, but it was number in the batch before" in only_check(run_at()).reason


def test_an_unchanged_batch_is_compared_with_the_batch_before_it(
    spec: Spec, run_at: RunAt, orders: Callable[..., None]
) -> None:
    spec(REPEATED)
    orders(**batch(0, 100))
    run_at()
    orders(**batch(50, 150))
    assert [only_check(run_at()).value for _ in range(2)] == [0.5, 0.5]
    spec(
        REPEATED.replace(
            "new rows:",
            "many: {metric: row_count, min: 1}\n          tall: {metric: max.x, max: 99}\n          new rows:",
        )
    )
    values = {check.metric: check.value for check in checks(run_at())}  # measured again: another metric is wanted
    assert values["repeated_share"] == 0.5


def test_rows_that_another_version_has_hashed_are_not_compared_and_the_reason_is_reported(
    spec: Spec, run_at: RunAt, orders: Callable[..., None], tmp_path: Path
) -> None:
    spec(REPEATED)
    orders(**batch(0, 100))
    run_at()
    (kept,) = tmp_path.rglob("*.npz")
    replace(RowCounts.load(kept), version="2.1.0").save(kept)
    orders(**batch(50, 150))
    check = only_check(run_at())
    assert check.value is None
    assert "counted by another version of engine" in str(check.reason)
    orders(**batch(100, 200))
    assert only_check(run_at()).value == 0.5


def test_each_turn_of_a_loop_is_compared_with_the_turn_before(
    spec: Spec, run_at: RunAt, orders: Callable[..., None]
) -> None:
    orders("all.parquet", **batch(0, 100))
    text = """
    variables: {first: 0, last: 0}
    datasets:
      history: {path: all.parquet}
      orders:
        kind: query
        sql: SELECT * FROM history WHERE id >= ${first} AND id < ${last}
        checks:
          new rows: {metric: repeated_share, soft_max: 0.1, when_empty: ok}
    scenarios:
      Read:
        for_each: [{first: 0, last: 40}, {first: 30, last: 70}, {first: 70, last: 100}, {first: 80, last: 90}]
        steps: [{name: Check, kind: run_checks, target: orders}]
"""
    spec(text)
    assert [check.value for check in checks(run_at())] == [None, 0.25, 0, 1]
    assert [check.value for check in checks(run_at())] == [None, 0.25, 0, 1]


def test_a_dry_run_and_a_plan_keep_no_rows(
    spec: Spec, run_at: RunAt, orders: Callable[..., None], tmp_path: Path
) -> None:
    path = spec(REPEATED)
    kept = tmp_path / ".engine" / "test" / "rows" / "orders"
    orders(**batch(0, 100))
    run_at()
    before = sorted(kept.rglob("*"))
    orders(**batch(90, 190))
    session.plan_scenarios(load(path, {}, environ={}), ["Read"], environ={})
    assert only_check(run_at(dry=True)).value == 0.1
    assert sorted(kept.rglob("*")) == before
    assert only_check(run_at()).value == 0.1


def test_only_the_latest_batches_are_kept(
    spec: Spec, run_at: RunAt, orders: Callable[..., None], tmp_path: Path
) -> None:
    spec(REPEATED)
    for start in range(0, 60, 10):
        orders(**batch(start, start + 20))
        value = only_check(run_at()).value
        assert value == (0.5 if start else None)
    folders = list((tmp_path / ".engine" / "test" / "rows" / "orders").iterdir())
    assert len(folders) == 3


def test_rows_that_cannot_be_read_are_reported(
    spec: Spec, run_at: RunAt, orders: Callable[..., None], tmp_path: Path
) -> None:
    spec(REPEATED)
    orders(**batch(0, 100))
    run_at()
    (file,) = (tmp_path / ".engine" / "test" / "rows").rglob("rows.npz")
    file.write_bytes(b"no rows")
    orders(**batch(0, 200))
    check = only_check(run_at())
    assert check.outcome is CheckOutcome.EMPTY
    assert "the rows of the batch before cannot be used" in check.reason


def test_rows_are_not_counted_unless_a_check_asks(
    spec: Spec, run_at: RunAt, orders: Callable[..., None], tmp_path: Path
) -> None:
    spec(FEED + CHECK_ORDERS)
    orders(at=[at(2026, 3, 10)])
    run_at()
    assert not list((tmp_path / ".engine" / "test" / "rows").iterdir())
