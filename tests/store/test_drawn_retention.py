"""Retention of states that are drawn at random, against a naive twin, and killed in between."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.evaluation.record import EvaluationTime
from engine.store import Store
from engine.store.tables import removals

from ..clocks import Clock
from .retained_state import NOW, State, list_orphans

# ---- a twin that decides one by one what must remain of evaluations -------------------------------------------------
MADE = st.fixed_dictionaries(
    {
        "days": st.integers(0, 40),
        "model": st.sampled_from("mno"),
        "data": st.sampled_from("abcd"),
        "rows": st.sampled_from([10, 10, 10, 0]),
        "at": st.integers(0, 40),
        "name": st.sampled_from(["base", "w1", "w2"]),
        "running": st.sampled_from([False, False, False, False, True]),
    }
)

REFERENCES = st.sampled_from(
    [
        ("rolling", "{kind: rolling, last: 2}", 2),
        ("rolling", "{kind: rolling, last: 1}", 1),
        ("named", "{kind: evaluation, name: base}", 0),
        ("same", "{kind: same_period, every: 7d, last: 1}", 7),
        ("dataset", "{kind: dataset, dataset: t}", 0),
    ]
)


@dataclass
class Twin:
    """An evaluation of the twin."""

    id: str
    number: int
    model: str
    data: str
    rows: int
    name: str
    created: datetime
    start: datetime
    running: bool
    superseded: bool = False
    supersedes: list["Twin"] = field(default_factory=list)

    def is_earlier(self, other: "Twin") -> bool:
        return (self.start, self.number) < (other.start, other.number)


def list_needed(
    made: Sequence[Twin], kind: str, last: int, timed: bool, across: bool, past: int
) -> tuple[set[str], set[str]]:
    """Return the ids of the evaluations whose rows are needed, and of those whose files are."""
    current = sorted((one for one in made if not one.superseded), key=lambda one: (one.start, one.number), reverse=True)
    models = list(dict.fromkeys(one.model for one in current))[:2]
    files = {one.id for one in made if one.running}
    files |= {next(one.id for one in current if one.model == model) for model in models}
    rows: set[str] = set()
    for model in [None] if across else models:
        history = [one for one in current if model in (None, one.model)]
        units = [one for at, one in enumerate(history) if timed or not at or one.data != history[at - 1].data]
        rows |= {one.id for one in units[: past + 1 if timed else 1]}
        # every next batch without a time: of known or of new data, also the newest once more
        for data in () if timed else (*"abcd", "new"):
            rows |= {one.id for one in [one for one in units if one.data != data][:past]}
        if kind == "rolling":
            # every next batch: of known or of new data, at a later time or the newest one made anew
            for data in (*"abcd", "new"):
                for earlier in (history, history[1:]) if timed else (history,):
                    usable = [one for one in earlier if one.rows and one.data != data]
                    usable = [one for at, one in enumerate(usable) if one.data not in {o.data for o in usable[:at]}]
                    files |= {one.id for one in usable[:last]}
    if kind == "named":
        files |= {one.id for one in current if one.name == "base"}
    if kind == "same" and timed and current:
        files |= {one.id for one in current if one.start >= current[0].start - timedelta(days=last)}
    return rows | files, files


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(MADE, min_size=1, max_size=12),
    REFERENCES,
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1, 3]),
    st.tuples(st.sampled_from([None, 1, 3]), st.sampled_from([None, 10, 25])),
    st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([None, 5])),
)
def test_exactly_the_records_that_exceed_a_limit_and_are_not_needed_are_removed(
    empty_state: Path,
    wanted: list[dict[str, Any]],
    reference: tuple[str, str, int],
    timed: bool,
    across: bool,
    past: int,
    limits: tuple[int | None, int | None],
    file_limits: tuple[int | None, int | None],
) -> None:
    kind, declared, last = reference
    if kind == "same" and not timed:
        return
    with TemporaryDirectory() as folder:
        shutil.copytree(empty_state, Path(folder, "state"))
        clock = Clock(NOW)
        with Store.open(Path(folder, "state"), now=clock) as store:
            state = State(store, clock)
            made: list[Twin] = []
            for one in wanted:
                start = NOW - timedelta(days=one["at"])
                same = [
                    twin
                    for twin in made
                    if timed and not twin.superseded and (twin.start, twin.model) == (start, one["model"])
                ]
                run = state.run(days=1, ends=False) if one["running"] else None
                id_ = state.evaluation(
                    one["days"],
                    model=one["model"],
                    data=one["data"],
                    rows=one["rows"],
                    name=one["name"],
                    run=run,
                    time=EvaluationTime(start, None, f"{start:%Y-%m-%d}") if timed else None,
                    supersedes=same[0].id if same else None,
                )
                created = store.evaluations.get(id_).created
                twin = Twin(
                    id_, len(made), one["model"], one["data"], one["rows"], one["name"], created,
                    start if timed else created, one["running"],
                )  # fmt: skip
                for old in same:
                    old.superseded = True
                    twin.supersedes.append(old)
                made.append(twin)
            rows, files = list_needed(made, kind, last, timed, across, past)

            def exceeds(twin: Twin, keep: int | None, days: int | None) -> bool:
                later = [one for one in made if not one.superseded and twin.is_earlier(one)]
                too_many = keep is not None and len(later) >= keep
                return too_many or (days is not None and twin.created < NOW - timedelta(days=days))

            gone = {one.id for one in made if exceeds(one, *limits) and one.id not in rows}
            for one in reversed(made):  # what is superseded does not come back
                if one.id in gone:
                    gone |= {old.id for old in one.supersedes}
            bare = {one.id for one in made if exceeds(one, *file_limits) and one.id not in files | gone}
            kept = [one.id for one in made if one.id not in gone]
            names = ("keep", "days")
            parts = {"evaluations": limits, "evaluation_files": file_limits}
            texts = {
                part: ", ".join(f"{name}: {value}" for name, value in zip(names, of, strict=True) if value)
                for part, of in parts.items()
            }
            done = state.prune(
                "{" + ", ".join(f"{part}: {{{text}}}" for part, text in texts.items() if text) + "}",
                reference=declared,
                evaluation='{time: "${as_of}"}' if timed else "{}",
                across=str(across).lower(),
                checks=f"{{c: {{metric: row_count, change: absolute, compare: {{mean_of_last: {past}}}, max: 1}}}}"
                if past
                else "{}",
            )
            assert state.evaluations() == kept
            assert state.with_files() == set(kept) - bare
            assert (done.evaluations, done.evaluation_files) == (len(gone), len(bare))


# ---- killed in between -----------------------------------------------------------------------------------------------
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.store.retained_state import NOW, load_spec
from engine.store import Store
from engine.store.retention.pruning import prune_state

left = int(sys.argv[2])

def count_down(frame, event, argument):
    global left
    if event == "c_call" and argument.__name__ in ("execute", "commit", "rmdir", "unlink", "executemany"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

with Store.open(Path(sys.argv[1])) as store:
    sys.setprofile(count_down)
    prune_state(store, load_spec("{runs: {keep: 2}, evaluations: {keep: 2}, evaluation_files: {keep: 1}}"), NOW)
    sys.setprofile(None)
print("whole")
"""


@pytest.mark.slow
def test_killed_anywhere_it_leaves_a_state_in_order_and_the_next_one_finishes(
    empty_state: Path, tmp_path: Path
) -> None:
    shutil.copytree(empty_state, tmp_path / "full")
    clock = Clock(NOW)
    with Store.open(tmp_path / "full", now=clock) as store:
        state = State(store, clock)
        runs = [state.run(days=days) for days in (50, 40, 30, 20)]
        ids = [state.evaluation(days) for days in (50, 40, 30, 20)]
    deaths = 0
    for left in (0, 3, 7, 12, 18, 24, 29, 33, 36, 39, 42, 45, 49, 55):
        folder = tmp_path / f"killed-{left}"
        shutil.copytree(tmp_path / "full", folder)
        command = [sys.executable, "-c", KILLED, str(folder), str(left), str(Path(__file__).parents[2])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        deaths += ended.returncode == -9
        assert ended.returncode in (0, -9), ended.stderr
        with Store.open(folder, now=clock) as store:
            assert list_orphans(store) == []
            state = State(store, clock)
            left_over = [store.evaluations.get(id_) for id_ in state.evaluations()]
            assert {one.id for one in left_over if one.files_removed is None} == state.with_files()
            state.prune("{runs: {keep: 2}, evaluations: {keep: 2}, evaluation_files: {keep: 1}}")
            assert (state.runs(), state.evaluations(), state.with_files()) == (runs[2:], ids[2:], {ids[3]})
            assert state.count_rows(removals) == 2
    assert deaths > 8
