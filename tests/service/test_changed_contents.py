"""The decision whether changed data fire: against a twin that keeps the contents at the last fire, and nothing else."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.service.triggers.data_changed import compare_datasets
from engine.service.triggers.fire_keys import data_key, query_key
from engine.service.triggers.query_changed import QueryAnswer, compare_result, needs_answer
from engine.service.triggers.seen_files import DatasetsFound, SeenFiles
from engine.spec.resources.triggers import DatasetChangedTrigger
from engine.store import TriggerState

START = datetime(2026, 11, 28, tzinfo=UTC)
NAMES = ("a", "b", "c")
SOURCES = {name: (name,) for name in NAMES}


def make_state() -> TriggerState:
    return TriggerState("s", "t", "defined", START)


def see(content: str) -> SeenFiles:
    return SeenFiles("path", f"states of {content}", content)


def keep(state: TriggerState) -> TriggerState:
    """Return the state as it comes back from the store."""
    return replace(state, seen=json.loads(json.dumps(state.seen)))


LOOKS = st.lists(
    st.tuples(
        st.one_of(
            st.fixed_dictionaries({name: st.sampled_from(["seen", "seen", "writing", "error"]) for name in NAMES}),
            st.sampled_from([dict.fromkeys(NAMES, "seen"), {"a": "error", "b": "seen", "c": "seen"}]),
        ),
        st.fixed_dictionaries({name: st.sampled_from("xyz") for name in NAMES}),
        st.sampled_from([1, 400, 700]),  # seconds since the look before
    ),
    max_size=25,
)


class Twin:
    """What has been seen of each dataset, what it was at the last fire, and since when something is unreadable."""

    def __init__(self, wants_all: bool) -> None:
        self.choose = all if wants_all else any
        self.seen: dict[str, str] = {}
        self.fired: dict[str, str] = {}
        self.failing_since: datetime | None = None
        self.told = False

    def look(self, how: dict[str, str], contents: dict[str, str], now: datetime) -> bool:
        for name in NAMES:
            if how[name] == "seen":
                self.seen[name] = contents[name]
                self.fired.setdefault(name, contents[name])
        failing = "error" in how.values()
        self.failing_since = (self.failing_since or now) if failing else None
        self.told = self.told and failing
        long = self.failing_since is not None and now - self.failing_since >= timedelta(minutes=10)
        changed = self.choose(self.seen.get(name) != self.fired.get(name) for name in NAMES)
        fires = "writing" not in how.values() and ((changed and (long or not failing)) or (long and not self.told))
        if fires:
            self.fired, self.told = dict(self.seen), long
        return fires


@given(LOOKS, st.booleans())
def test_datasets_fire_when_the_twin_says_so(
    looks: Sequence[tuple[dict[str, str], dict[str, str], int]], wants_all: bool
) -> None:
    trigger = DatasetChangedTrigger(name="t", dataset=list(NAMES), all=wants_all)
    state, twin, now, keys = make_state(), Twin(wants_all), START, []
    for how, contents, seconds in looks:
        now += timedelta(seconds=seconds)
        found = DatasetsFound(
            SOURCES,
            {name: see(contents[name]) for name in NAMES if how[name] == "seen"},
            {name: f"{name} is gone" for name in NAMES if how[name] == "error"},
            [name for name in NAMES if how[name] == "writing"],
        )
        seen, fired = dict(twin.seen), dict(twin.fired)
        state, fires = compare_datasets(trigger, keep(state), found, now)
        assert bool(fires) == twin.look(how, contents, now), (how, contents, seen, fired)
        assert (state.error is not None) == bool(found.errors)
        keys += [fire.key for fire in fires]
        if fires and not found.errors:
            latest = seen | {name: one.content for name, one in found.files.items()}
            assert fires[0].changed == tuple(n for n in NAMES if latest.get(n) != fired.get(n, latest.get(n)))
    assert len(keys) == len(set(keys))


@given(LOOKS)
def test_a_query_is_asked_when_its_files_differ_and_fires_when_its_result_does(
    looks: Sequence[tuple[dict[str, str], dict[str, str], int]],
) -> None:
    """The result is the content of dataset a alone: changes of the others are asked for, but fire nothing."""
    state, now, keys = make_state(), START, []
    answered: dict[str, str] = {}
    for _, contents, seconds in looks:
        now += timedelta(seconds=seconds)
        found = DatasetsFound(SOURCES, {name: see(contents[name]) for name in NAMES})
        asked = needs_answer(keep(state), found, "inputs", always=False)
        assert asked == (contents != answered)
        answer = QueryAnswer(contents["a"]) if asked else None
        state, fires = compare_result(keep(state), found, "inputs", answer, now)
        assert bool(fires) == bool(answered and contents["a"] != answered["a"])
        keys += [fire.key for fire in fires]
        answered = contents
    assert len(keys) == len(set(keys))


def test_a_query_that_cannot_be_answered_is_asked_again_and_fires_once_after_ten_minutes() -> None:
    found = DatasetsFound(SOURCES, {name: see("x") for name in NAMES})
    state, _ = compare_result(make_state(), found, "inputs", QueryAnswer("1"), START)
    fired = []
    for minute in range(30):
        now = START + timedelta(minutes=minute)
        assert needs_answer(state, found, "changed", always=False)
        state, fires = compare_result(state, found, "changed", QueryAnswer(None, "no such column"), now)
        assert state.error == "no such column"
        fired += [minute] * len(fires)
    assert fired == [10]
    state, fires = compare_result(state, found, "changed", QueryAnswer("1"), START + timedelta(hours=1))
    assert fires == []
    assert state.error is None
    assert not needs_answer(state, found, "changed", always=False)


def test_files_that_cannot_be_read_for_ten_minutes_fire_once_each_time() -> None:
    trigger = DatasetChangedTrigger(name="t", dataset="a")
    sources = {"a": ("a",)}
    state, now, fired = make_state(), START, []
    for _ in range(2):
        state, fires = compare_datasets(trigger, state, DatasetsFound(sources, {"a": see("x")}), now)
        assert (state.error, fires) == (None, [])
        for minute in range(30):
            now += timedelta(minutes=1)
            state, fires = compare_datasets(trigger, state, DatasetsFound(sources, {}, {"a": "a is gone"}), now)
            fired += [(minute, fire.changed) for fire in fires]
    assert fired == [(10, ("a",)), (10, ("a",))]


def test_files_that_could_not_be_read_for_a_while_end_the_error_by_an_answer() -> None:
    found = DatasetsFound(SOURCES, {name: see("x") for name in NAMES})
    gone = DatasetsFound(SOURCES, {}, {"a": "a is gone"})
    state, _ = compare_result(make_state(), found, "inputs", QueryAnswer("1"), START)
    assert not needs_answer(state, gone, "inputs", always=True)
    state, _ = compare_result(state, gone, "inputs", None, START)
    assert state.error == "a is gone"
    assert needs_answer(state, found, "inputs", always=False)
    state, fires = compare_result(state, found, "inputs", QueryAnswer("1"), START)
    assert (state.error, fires) == (None, [])


def test_what_is_seen_is_kept_as_it_always_was() -> None:
    """States are read by later versions of the engine."""
    trigger = DatasetChangedTrigger(name="t", dataset="a")
    state, _ = compare_datasets(trigger, make_state(), DatasetsFound({"a": ("a",)}, {"a": see("x")}), START)
    state, _ = compare_datasets(trigger, state, DatasetsFound({"a": ("a",)}, {"a": see("y")}), START)
    assert state.seen == {
        "files": {"a": asdict(see("y"))},
        "fired": {"a": "y"},
        "changes": 1,
        "previous": "2026-11-28T00:00:00+00:00",
        "unreadable": False,
    }


@pytest.mark.parametrize(("key", "text"), [(data_key("12ab"), "data:12ab"), (query_key("12ab"), "query:12ab")])
def test_the_forms_of_keys_never_change(key: str, text: str) -> None:
    assert key == text
