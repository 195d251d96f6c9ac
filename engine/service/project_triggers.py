"""Finds the triggers of a project that are due, and the next due time.

The next times are in a heap with one entry per scenario, so that a thousand scenarios that are not due cost nothing.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from engine.formatting.numbers import format_count
from engine.service.control import NextTimes
from engine.service.triggers.catch_up import format_moment
from engine.service.triggers.due_fires import find_due
from engine.service.triggers.scenario_finished import LONGEST_CHAIN, find_finished, measure_chain
from engine.service.triggers.schedule import find_zone, list_next_times, next_time
from engine.service.triggers.trigger_states import reconcile_states
from engine.spec import ProjectSpec
from engine.spec.resources.triggers import DatasetChangedTrigger, QueryChangedTrigger, ScenarioFinishedTrigger
from engine.store import Fire, FireState, Pause, Store, TriggerState
from engine.store.records.triggers import RUN_END

Advance = tuple[list[TriggerState], list[Fire]]
"""States of triggers and new fires, which must be written in one transaction."""


class ProjectTriggers:
    """The triggers of a project and their states.

    Attributes
    ----------
    watches_data
        Whether a trigger compares data.
    """

    def __init__(self, store: Store, project: ProjectSpec, now: datetime) -> None:
        self._store = store
        self._states: dict[str, dict[str, TriggerState]] = defaultdict(dict)
        self._reported_errors: set[tuple[str, str]] = set()
        self.note(store.fires.list_states())
        self._due: list[tuple[datetime, str]] = []
        self.replace_project(project, now)

    def replace_project(self, project: ProjectSpec, now: datetime) -> None:
        """Use another spec, or a clock that was set; nothing of the past is due for new or changed triggers.

        Raises
        ------
        StoreError
            The state cannot be written.
        """
        self._project = project
        newest = self._store.run_ends.newest()
        states = reconcile_states(project, self.states, now, newest_end=newest)
        self._store.fires.advance(states)
        self.note(states)
        self._reported_errors -= {(state.scenario, state.trigger) for state in states}
        self._followers = [
            (name, trigger)
            for name, scenario in project.scenarios.items()
            for trigger in scenario.triggers
            if isinstance(trigger, ScenarioFinishedTrigger) and trigger.active
        ]
        self.watches_data = any(
            isinstance(trigger, DatasetChangedTrigger | QueryChangedTrigger) and trigger.active
            for scenario in project.scenarios.values()
            for trigger in scenario.triggers
        )
        self._due = [(time, name) for name in project.scenarios if (time := self._find_next(name))]
        heapq.heapify(self._due)

    @property
    def states(self) -> list[TriggerState]:
        """The states of all triggers."""
        return [state for of_scenario in self._states.values() for state in of_scenario.values()]

    def note(self, states: Sequence[TriggerState]) -> None:
        """Replace the states of triggers; the caller has stored them already."""
        for state in states:
            self._states[state.scenario][state.trigger] = state

    def list_new_errors(self) -> Iterator[tuple[TriggerState, str]]:
        """Yield a text for each trigger that cannot be evaluated any more, or can be again, since the last call."""
        for state in self.states:
            key = (state.scenario, state.trigger)
            if state.error and key not in self._reported_errors:
                self._reported_errors.add(key)
                yield state, f"cannot be evaluated: {state.error}"
            elif not state.error and key in self._reported_errors:
                self._reported_errors.remove(key)
                yield state, "can be evaluated again"

    def _find_next(self, scenario: str) -> datetime | None:
        known = self._states[scenario]
        times = [
            next_time(self._project, scenario, trigger.name, state, state.evaluated_until)
            for trigger in self._project.scenarios[scenario].triggers
            if (state := known.get(trigger.name)) is not None
        ]
        return min((time for time in times if time is not None), default=None)

    @property
    def next_due(self) -> datetime | None:
        """The next due time of all triggers; None if there is none."""
        return self._due[0][0] if self._due else None

    def take_due(self, now: datetime, pauses: Sequence[Pause]) -> Advance:
        """Return the fires that are due by time, with new states; call `settle_due` after storing them."""
        states: list[TriggerState] = []
        fires: list[Fire] = []
        if self._due and self._due[0][0] <= now:
            for scenario in [name for time, name in self._due if time <= now]:
                known = list(self._states[scenario].values())
                new_states, new_fires = find_due(self._project, scenario, known, now, pauses)
                states += new_states
                fires += new_fires
        return states, fires

    def settle_due(self, now: datetime) -> None:
        """Compute the next times of the scenarios that were due."""
        due = []
        while self._due and self._due[0][0] <= now:
            due.append(heapq.heappop(self._due)[1])
        for scenario in due:
            if time := self._find_next(scenario):
                heapq.heappush(self._due, (time, scenario))

    @property
    def followed(self) -> set[str]:
        """The scenarios that `scenario_finished` triggers follow."""
        return {trigger.scenario for _, trigger in self._followers}

    def take_finished(self, now: datetime) -> Advance:
        """Return the fires of `scenario_finished` triggers for new ends of runs, with new states."""
        states: list[TriggerState] = []
        fires: list[Fire] = []
        known = [self._states[scenario][trigger.name] for scenario, trigger in self._followers]
        ends = self._store.run_ends.list_after(min(state.seen[RUN_END] for state in known)) if known else []
        if not ends:
            return states, fires
        for (scenario, trigger), state in zip(self._followers, known, strict=True):
            new_state, new_fires = find_finished(self._project, scenario, trigger.name, state, ends, now)
            states.append(new_state)
            fires += new_fires
        return states, [self._end_long_chain(fire) for fire in fires]

    def _end_long_chain(self, fire: Fire) -> Fire:
        if measure_chain(fire, self._find_fire_of_run) <= LONGEST_CHAIN:
            return fire
        reason = (
            f"{LONGEST_CHAIN} runs before it were each started by the end of the one before: this chain may not end"
        )
        return replace(fire, state=FireState.SKIPPED, reason=reason)

    def _find_fire_of_run(self, run: str) -> Fire | None:
        record = self._store.runs.find(run)
        while record is not None and record.parent is not None:
            record = self._store.runs.find(record.parent)
        return None if record is None or record.fire is None else self._store.fires.get(record.fire)

    def describe_next(self, now: datetime) -> tuple[str, datetime | None]:
        """Return a text with the number of active triggers and the next due time, and that time."""
        found = self.list_next_times(now, 1)
        if not found:
            return "no active triggers, so it starts only requested runs", None
        count = format_count(len(found), "active trigger")
        timed = [(one.times[0], one.scenario, one.trigger) for one in found if one.times]
        if not timed:
            return count, None
        nearest, scenario, name = min(timed)
        trigger = next(one for one in self._project.scenarios[scenario].triggers if one.name == name)
        zone = find_zone(self._project, trigger)
        local = "" if str(zone) == "UTC" else f" ({format_moment(nearest, zone)})"
        return f"{count}, the next time is {format_moment(nearest, UTC)}{local}", nearest

    def list_next_times(self, now: datetime, count: int) -> list[NextTimes]:
        """Return the next times of the active triggers; none for one that waits for data or for a run."""
        return [
            NextTimes(
                name,
                trigger.name,
                tuple(list_next_times(self._project, name, trigger.name, known.get(trigger.name), now, count)),
            )
            for name, scenario in self._project.scenarios.items()
            for known in [self._states[name]]
            for trigger in scenario.triggers
            if trigger.active
        ]
