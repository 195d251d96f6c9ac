"""When reporters with only_on_change, recovery and cooldown send: against a twin that keeps the whole history."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.notifications import Sending, decide_sending, follow_state
from engine.outcome import CheckOutcome, Outcome
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import Reporter
from engine.store import ReporterState, Store
from engine.store.reporter_states import write_reporter_states

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
COOLDOWN = timedelta(hours=4)
KNOWN, ALSO_KNOWN = "metrics['m'] > 0", "metrics['m'] >= 1"


def reporter(**settings: object) -> Reporter:
    return Reporter.model_validate({"name": "r", "channel": "c", "run_condition": KNOWN, **settings})


def facts(holds: bool | None) -> ConditionFacts:
    """Facts for which KNOWN holds, does not hold, or cannot be decided."""
    return ConditionFacts(outcome=Outcome.SUCCESS, metrics={"m": None if holds is None else float(holds)})


@dataclass(frozen=True)
class Past:
    """One run of the history that counts, and what it sent."""

    holds: bool
    at: datetime
    alert: bool = False


def expect(history: list[Past], holds: bool, now: datetime, of: Reporter) -> str:
    """Say what a run sends, from all runs before it: read as the sentences of the reference page."""
    episode = list(itertools.takewhile(lambda past: past.holds, reversed(history)))
    alerts = [past.at for past in history if past.alert]
    cooling = of.cooldown is not None and any(at <= now < at + of.cooldown for at in alerts)
    if holds:
        told = of.only_on_change and any(past.alert for past in episode)
        return "nothing" if told or cooling else "alert"
    ended_told = of.only_on_change and any(past.alert for past in episode)
    return "recovery" if ended_told and of.recovery else "nothing"


def name_sending(sending: Sending) -> str:
    return ("recovery" if sending.recovery else "alert") if sending.sends else "nothing"


class Reporters(RuleBasedStateMachine):
    """Runs of a scenario, with a state that is in a database and is opened anew; every example has its own scenario."""

    folder: Path
    numbers = itertools.count()

    @initialize(
        only_on_change=st.booleans(), recovery=st.booleans(), cooldown=st.sampled_from([None, COOLDOWN, COOLDOWN])
    )
    def begin(self, only_on_change: bool, recovery: bool, cooldown: timedelta | None) -> None:
        self.scenario = f"s{next(self.numbers)}"
        self.now = START
        self.reporter = reporter(
            only_on_change=only_on_change or cooldown is None, recovery=recovery, cooldown=cooldown
        )
        self.history: list[Past] = []
        self.newest = START - timedelta(days=999)
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.folder, now=lambda: self.now)

    def run(self, holds: bool | None, as_of: datetime) -> Sending:
        """Do what the end of a run does with a reporter."""
        known = self.store.reporter_states.find(self.scenario, "r")
        sending = follow_state(self.reporter, facts(holds), self.scenario, known, as_of, self.now)
        with self.store.database.begin_write() as connection:
            write_reporter_states(connection, [sending.state] if sending.state else [], self.now)
        return sending

    @rule(holds=st.booleans(), minutes=st.integers(0, 300))
    def a_run_of_now(self, holds: bool, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        expected = expect(self.history, holds, self.now, self.reporter)
        sending = self.run(holds, self.now)
        assert name_sending(sending) == expected
        if holds and expected == "nothing":
            assert sending.reason
        self.history.append(Past(holds, self.now, expected == "alert"))
        self.newest = self.now

    @rule()
    def a_run_that_cannot_be_decided_sends_and_changes_nothing(self) -> None:
        before = self.store.reporter_states.list_of(self.scenario)
        sending = self.run(None, self.now)
        assert sending.sends
        assert "cannot be evaluated" in sending.note
        assert self.store.reporter_states.list_of(self.scenario) == before

    @precondition(lambda self: self.history)
    @rule(holds=st.booleans(), days=st.integers(1, 400))
    def a_run_for_an_earlier_day_sends_and_changes_nothing(self, holds: bool, days: int) -> None:
        before = self.store.reporter_states.list_of(self.scenario)
        sending = self.run(holds, self.newest - timedelta(days=days))
        assert not sending.sends
        assert sending.held_back == holds
        assert self.store.reporter_states.list_of(self.scenario) == before

    @precondition(lambda self: self.history)
    @rule()
    def another_condition_starts_anew(self) -> None:
        other = ALSO_KNOWN if self.reporter.run_condition == KNOWN else KNOWN
        self.reporter = self.reporter.model_copy(update={"run_condition": other})
        self.history, self.newest = [], START - timedelta(days=999)

    @rule()
    def the_process_starts_again(self) -> None:
        self.store.close()
        self.open()

    @invariant()
    def what_is_shown_is_what_the_last_run_gave(self) -> None:
        if getattr(self, "history", None):
            [state] = self.store.reporter_states.list_of(self.scenario)
            assert (state.observed == "holds") == self.history[-1].holds
            alerts = [past.at for past in self.history if past.alert]
            assert state.sent_at == (alerts[-1] if alerts else None)
            episode = list(
                itertools.takewhile(lambda past: past.holds == self.history[-1].holds, reversed(self.history))
            )
            if len(episode) < len(self.history) or episode[-1].holds:
                assert state.since == episode[-1].at

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


@pytest.mark.slow
def test_reporters_send_what_a_twin_with_the_whole_history_says(tmp_path: Path) -> None:
    Reporters.folder = tmp_path
    run_state_machine_as_test(Reporters, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))


def follow(of: Reporter, outcomes: list[Outcome], every: timedelta = timedelta(hours=1)) -> list[str]:
    """Return what a reporter sends over runs with these outcomes."""
    said, state, now = [], None, START
    for outcome in outcomes:
        sending = follow_state(of, ConditionFacts(outcome=outcome), "s", state, now, now)
        state = sending.state or state
        said.append(name_sending(sending))
        now += every
    return said


GOOD, WARN, BAD = Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILED


def test_without_a_condition_every_change_of_the_outcome_is_reported() -> None:
    of = Reporter(name="r", channel="c", only_on_change=True)
    assert follow(of, [GOOD, GOOD, WARN, WARN, BAD, GOOD, GOOD, BAD]) == [
        "nothing", "nothing", "alert", "nothing", "alert", "recovery", "nothing", "alert",
    ]  # fmt: skip
    assert follow(of, [BAD, BAD]) == ["alert", "nothing"]


def test_a_cooldown_holds_back_changes_but_never_that_all_is_well() -> None:
    of = Reporter(name="r", channel="c", only_on_change=True, cooldown=timedelta(hours=3))
    assert follow(of, [WARN, BAD, BAD, BAD, GOOD, BAD, GOOD]) == [
        "alert", "nothing", "nothing", "alert", "recovery", "nothing", "nothing",
    ]  # fmt: skip


def test_a_cooldown_alone_repeats_what_lasts() -> None:
    of = Reporter(name="r", channel="c", run_condition="outcome == 'FAILED'", cooldown=timedelta(hours=3))
    assert follow(of, [BAD] * 7) == ["alert", "nothing", "nothing", "alert", "nothing", "nothing", "alert"]


def test_a_moment_in_the_future_silences_nothing() -> None:
    of = reporter(only_on_change=True)
    far = START + timedelta(days=3650)
    first = follow_state(of, facts(True), "s", None, far, START)
    assert first.sends
    assert first.state is not None
    later = START + timedelta(minutes=1)
    second = follow_state(of, facts(False), "s", first.state, later, later)
    assert second.state is not None
    assert follow_state(of, facts(True), "s", second.state, later, later).sends


def test_a_clock_that_was_wrong_silences_nothing() -> None:
    of = reporter(cooldown=COOLDOWN)
    ahead = START + timedelta(days=365)
    state = follow_state(of, facts(True), "s", None, ahead, ahead).state
    assert state is not None
    assert state.sent_at == ahead
    assert follow_state(of, facts(True), "s", state, START, START).sends


def test_an_inactive_reporter_starts_anew_when_it_is_active_again() -> None:
    of = reporter(only_on_change=True)
    state: ReporterState | None = follow_state(of, facts(True), "s", None, START, START).state
    idle = follow_state(of.model_copy(update={"active": False}), facts(True), "s", state, START, START)
    assert (idle.sends, idle.reason) == (False, "it is not active")
    assert follow_state(of, facts(True), "s", idle.state, START, START).sends


def test_an_alarm_that_ends_because_of_a_mute_has_not_recovered_and_is_reported_again_after_it() -> None:
    of = reporter(run_condition="checks['c'].outcome == 'ERROR'", only_on_change=True, recovery=True)
    wrong = ConditionFacts(outcome=BAD, checks={"c": CheckOutcome.ERROR})
    muted = ConditionFacts(outcome=GOOD, checks={"c": CheckOutcome.OK})
    state = follow_state(of, wrong, "s", None, START, START).state
    quiet = follow_state(of, muted, "s", state, START, START, unmuted=wrong)
    assert not quiet.sends
    assert quiet.held_back
    assert "only muted checks" in quiet.reason
    assert follow_state(of, wrong, "s", quiet.state, START, START).sends


def test_without_these_keys_a_reporter_sends_whenever_its_condition_holds() -> None:
    assert [decide_sending(reporter(), facts(holds)).sends for holds in (True, True, False)] == [True, True, False]
