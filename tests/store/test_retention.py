"""What retention removes of a state, and what it never does."""

from dataclasses import replace
from datetime import timedelta

from engine.evaluation.record import EvaluationTime, MetricValue
from engine.store import FireState, MessageState, Store, TriggerState
from engine.store.outbox import JOINED
from engine.store.retention.pruning import Pruned, prune_state
from engine.store.state.size import describe_size
from engine.store.tables import check_results, evaluation_metrics, outbox, run_ends, run_steps

from .retained_state import NOW, State, list_orphans, load_spec


def test_nothing_is_removed_without_a_retention(state: State) -> None:
    state.run(days=900)
    state.run(days=900)
    state.evaluation(900)
    state.evaluation(900)
    assert state.prune("") == Pruned(free_bytes=0)
    assert (len(state.runs()), len(state.evaluations())) == (2, 2)


def test_runs_that_exceed_one_of_the_limits_go_with_all_that_is_theirs(state: State) -> None:
    by_scenario = [[state.run(name, days) for days in (50, 40, 9, 2, 1)] for name in ("a", "b")]
    assert state.prune("{runs: {keep: 3, days: 5}}").runs == 6
    assert state.runs() == [id_ for runs in by_scenario for id_ in runs[3:]]
    assert {path.name for path in (state.store.folder / "runs").iterdir()} == set(state.runs())
    assert state.count_rows(run_steps) == 4
    assert state.count_rows(run_ends) == 4


def test_the_newest_run_of_a_scenario_stays_however_old_it_is(state: State) -> None:
    old = [state.run(name, 500) for name in ("a", "b", "b")]
    state.run("b", 400, ends=False)
    state.prune("{runs: {days: 1}}")
    assert state.runs()[:2] == [old[0], old[2]]


def test_a_run_that_has_not_ended_stays_with_the_runs_that_it_has_started(state: State) -> None:
    running = state.run("parent", 90, ends=False)
    child = state.run("child", 90, parent=running)
    grandchild = state.run("child", 90, parent=child)
    state.run("child", 90)
    state.run("child", 1)
    state.prune("{runs: {keep: 1}}")
    assert state.runs()[:3] == [running, child, grandchild]
    assert len(state.runs()) == 4


def test_a_run_stays_as_long_as_one_of_its_messages_is_not_delivered(state: State) -> None:
    states = (MessageState.PENDING, MessageState.REFUSED, MessageState.SENT, MessageState.DROPPED)
    runs = {name: state.run(days=90) for name in states}
    for name, run in runs.items():
        state.message(run, name)
    joined = state.run(days=90)
    pending = state.message(runs[MessageState.PENDING], MessageState.PENDING)
    state.message(joined, MessageState.DROPPED, error=JOINED + pending)
    newest = state.run()
    state.prune("{runs: {days: 30}}")
    assert state.runs() == [runs[MessageState.PENDING], runs[MessageState.REFUSED], joined, newest]
    assert [message.subject for message in state.store.outbox.list_joined(pending)] == ["subject"]
    assert state.count_rows(outbox) == 4


def test_fires_stay_for_eight_days_and_as_long_as_their_run_and_the_newest_of_each_trigger(state: State) -> None:
    old, newer = state.run(days=60), state.run(days=10)
    done = state.fire(60, FireState.DONE, old)
    of_kept_run = state.fire(10, FireState.DONE, newer)
    waiting = state.fire(300, FireState.WAITING)
    skipped = [state.fire(days, FireState.SKIPPED) for days in (300, 40, 20, 7)]
    coalesced = state.fire(300, FireState.COALESCED)
    newest_of_another = state.fire(300, FireState.SKIPPED, trigger="other")
    newest = state.fire(100, FireState.DONE, "20260101-000000-000000-aaaaaaaa")
    state.prune("{runs: {days: 30}}")
    kept = [fire.number for fire in state.store.fires.history()]
    assert kept == [of_kept_run, waiting, *skipped[2:], newest_of_another, newest]
    assert done not in kept
    assert coalesced not in kept


def test_fires_without_a_run_stay_for_ninety_days_if_runs_are_counted(state: State) -> None:
    numbers = [state.fire(days, FireState.SKIPPED) for days in (100, 80, 1)]
    state.prune("{runs: {keep: 5}}")
    assert [fire.number for fire in state.store.fires.history()] == numbers[1:]


def test_the_run_of_an_open_fire_stays(state: State) -> None:
    run = state.run(days=90)
    state.run()
    state.fire(90, FireState.STARTING, run)
    state.prune("{runs: {days: 30}}")
    assert run in state.runs()


def test_ends_of_runs_that_a_trigger_has_not_seen_stay_and_the_newest_number_is_never_given_again(state: State) -> None:
    for _ in range(5):
        state.run(days=90)
    seen = TriggerState("other", "after", "d", NOW, {"run_end": 2})
    state.store.fires.advance([seen])
    state.prune("{runs: {keep: 1}}")
    assert [end.number for end in state.store.run_ends.list_after(0)] == [3, 4, 5]
    state.store.fires.advance([replace(seen, seen={"run_end": 5})])
    state.prune("{runs: {keep: 1}}")
    assert [end.number for end in state.store.run_ends.list_after(0)] == [5]


def test_evaluations_go_with_their_metrics_checks_and_files_and_it_is_recorded(state: State) -> None:
    ids = [state.evaluation(days) for days in (30, 20, 10, 1)]
    other = state.evaluation(30, store="y")
    done = state.prune("{evaluations: {keep: 2}}")
    assert (done.evaluations, done.file_bytes) == (2, 16)
    assert state.evaluations() == ids[2:]
    assert state.evaluations("y") == [other]
    assert state.with_files() == {*ids[2:], other}
    assert state.count_rows(evaluation_metrics) == 6
    assert state.count_rows(check_results) == 3
    assert [(one.name, one.by) for one in state.store.evaluations.list_removals("x")] == [
        (ids[0], "retention"),
        (ids[1], "retention"),
    ]


def test_files_go_before_their_evaluations_which_tell_when(state: State) -> None:
    ids = [state.evaluation(days) for days in (30, 20, 10)]
    done = state.prune("{evaluation_files: {days: 15}}")
    assert (done.evaluation_files, done.evaluations, done.file_bytes) == (2, 0, 16)
    assert state.with_files() == {ids[2]}
    found = [state.store.evaluations.get(id_) for id_ in ids]
    assert [one.files_removed for one in found] == [NOW, NOW, None]
    assert state.prune("{evaluations: {keep: 1}}").evaluations == 2


def test_a_file_that_another_evaluation_has_too_frees_nothing(state: State) -> None:
    first, second = state.evaluation(30), state.evaluation(1)
    path = state.store.evaluations.folder_of(second) / "columns.profile"
    path.unlink()
    path.hardlink_to(state.store.evaluations.folder_of(first) / "columns.profile")
    assert state.prune("{evaluation_files: {keep: 1}}").file_bytes == 0
    assert path.read_text() == "12345678"


def test_a_superseded_evaluation_does_not_return_to_the_history_when_its_successor_is_removed(state: State) -> None:
    time = EvaluationTime(NOW - timedelta(days=300), None, "then")
    old = state.evaluation(5, time=time)  # made by a clock that was set back afterwards
    newer = state.evaluation(90, time=time, supersedes=old)
    newest = state.evaluation(1, time=EvaluationTime(NOW, None, "now"))
    state.prune("{evaluations: {days: 30}}")
    assert state.evaluations() == [newest]
    assert newer != old


def test_alternating_data_keep_as_many_other_data_as_a_check_looks_back_at(state: State) -> None:
    made = [state.evaluation(days, data=data) for days, data in zip(range(8, 0, -1), "abababab", strict=True)]
    check = "{c: {metric: row_count, change: absolute, compare: {mean_of_last: 2}, max: 1}}"
    state.prune("{evaluations: {keep: 1}}", checks=check)
    assert state.evaluations() == made[-4:]  # two of `a` for a next batch of `b`, and two of `b` for one of `a`


def test_the_attachments_of_messages_that_wait_stay_and_one_that_was_refused_says_that_it_has_lost_them(
    state: State,
) -> None:
    run = state.run()
    pending = state.message(run, MessageState.PENDING, 90)
    refused = state.message(run, MessageState.REFUSED, 90)
    newer = state.message(run, MessageState.REFUSED, 1)
    done = state.prune("{attachments: {days: 30}}")
    assert (done.attachments, done.attachment_bytes) == (1, 5)
    texts = {message.id: message.text for message in state.store.outbox.list_unsent()}
    assert texts[refused] == "text\n\n(Its attachments were removed by retention on 2026-11-28 12:00 UTC.)"
    assert texts[pending] == texts[newer] == "text"
    claim = state.store.outbox.claim(pending, timedelta(minutes=1))
    assert claim is not None
    assert [one.content for one in claim.message.attachments] == [b"12345"]


def test_measurements_of_a_dataset_stay_as_far_as_checks_look_back(state: State) -> None:
    for value in range(6):
        run = state.run(days=90, ends=False)
        state.store.measurements.add("t", f"f{value}", {"row_count": MetricValue(float(value))}, run)
        state.end(state.store.runs.get(run))
    state.prune("{runs: {keep: 1}}")
    assert [one.metrics["row_count"].value for one in state.store.measurements.history("t")] == [5.0]


def test_a_store_that_a_run_writes_to_is_left_as_it_is_and_that_is_reported(state: State) -> None:
    kept = [state.evaluation(days) for days in (30, 20)]
    state.evaluation(30, store="y")
    state.evaluation(20, store="y")
    project = load_spec("{evaluations: {keep: 1}}")
    with state.store.locks.hold("evaluation store x"), Store.open(state.store.location) as other:
        done = prune_state(other, project, NOW)
    assert (done.evaluations, done.busy) == (1, ("x",))
    assert state.evaluations() == kept
    assert prune_state(state.store, project, NOW).evaluations == 1


def test_it_stops_before_the_next_transaction_and_goes_on_the_next_time(state: State) -> None:
    for days in range(250):
        state.evaluation(days)
    asked: list[int] = []

    def goes_on() -> bool:
        asked.append(1)
        return len(asked) <= 2

    project = load_spec("{evaluations: {keep: 1}}")
    assert prune_state(state.store, project, NOW, may_continue=goes_on).evaluations == 200
    assert list_orphans(state.store) == []
    assert prune_state(state.store, project, NOW).evaluations == 49


def test_the_room_of_what_was_removed_is_free_and_vacuum_gives_it_back(state: State) -> None:
    for days in range(300):
        state.evaluation(days, notes=("x" * 2000,))
    free = state.prune("{evaluations: {keep: 1}}").free_bytes
    assert free > 500_000 if state.store.location.rows is None else free == 0  # a server does not tell
    before = describe_size(state.store).database_bytes
    state.store.database.vacuum()
    assert describe_size(state.store).database_bytes < before - 500_000
    if state.store.location.rows is None:
        assert not (state.store.folder / "state.db-wal").stat().st_size


def test_the_size_of_a_state_counts_rows_and_files(state: State) -> None:
    before = describe_size(state.store)
    state.evaluation()
    size = describe_size(state.store)
    assert (size.rows - before.rows, size.folder_bytes - before.folder_bytes) == (5, 8)
    assert not size.is_large
