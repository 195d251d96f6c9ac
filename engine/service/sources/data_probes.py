"""Checks the data of `dataset_changed` and `query_changed` triggers for changes.

Files are examined in threads, and queries are computed in separate processes, so that the server never hangs. The
threads only collect facts; the functions of `triggers/` decide in the thread of `look` what they mean for a trigger.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from engine.digests import digest_json
from engine.errors import UsageError
from engine.file_identity import FileIdentity
from engine.scenarios.process import RunProcess
from engine.scenarios.requests import QueryRequest
from engine.service.sources.dataset_sources import DataTrigger
from engine.service.sources.probe_threads import ProbeEnd, ProbeThreads
from engine.service.sources.run_chains import RunChains
from engine.service.sources.self_made_runs import MOST_RUNS, describe_self_made
from engine.service.sources.trigger_files import TriggerFiles, TriggerFound, describe_failed_look
from engine.service.sources.watched_sources import make_absolute
from engine.service.triggers.data_changed import compare_datasets
from engine.service.triggers.query_changed import QueryAnswer, compare_result, needs_answer
from engine.service.triggers.seen_files import DatasetsFound
from engine.spec import ProjectSpec
from engine.spec.resources.triggers import DatasetChangedTrigger, QueryChangedTrigger
from engine.store import Fire, FireState, Pause, TriggerState

QUERY_SECONDS = 120.0
"""Time limit of a query: it is computed repeatedly, so it must be short."""

SHORTEST_SECONDS = 0.2
"""Shortest time between two looks at files that are being written; it is also at least ten times a look's duration."""

FillValues = Callable[[ProjectSpec, Fire, datetime | None], Fire]

Key = tuple[str, str]
"""The name of a scenario, and that of one of its triggers."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A request to compute a query, with the state of the files that the query reads."""

    found: DatasetsFound
    inputs: str
    request: QueryRequest


@dataclass(slots=True)
class _WatchedTrigger:
    """The observations of a trigger while this server runs.

    Attributes
    ----------
    begun
        The trigger's state at the beginning of the running look; None if no look is running.
    asked
        The query that waits or is being computed.
    changed
        The files that have changed since the last fire.
    settled
        The identities of the files of fires when they were complete.
    """

    files: TriggerFiles
    next_look: float = -math.inf
    begun: TriggerState | None = None
    asked: _Question | None = None
    waits_for: tuple[str, ...] = ()
    changed: dict[Path, FileIdentity | None] = field(default_factory=dict)
    settled: dict[Path, FileIdentity] = field(default_factory=dict)


class DataProbes:
    """Checks the data of one project.

    Parameters
    ----------
    environ
        The environment of the processes that compute queries.
    fill_values
        Returns a fire with the values of its trigger's variables, or SKIPPED with the reason if they cannot be
        computed. Its last argument is the moment of the trigger's previous fire.
    threads
        The threads of the server, which several projects share.
    clock
        A monotonic clock in seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        fill_values: FillValues,
        threads: ProbeThreads | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ, self._fill_values, self._clock = environ, fill_values, clock
        self._threads = threads or ProbeThreads(clock)
        self._ends: SimpleQueue[ProbeEnd] = SimpleQueue()
        self._watched: dict[Key, _WatchedTrigger] = {}
        self._processes: set[RunProcess] = set()
        self._variables = environ
        self._spec: tuple[ProjectSpec, str] | None = None
        self.chains = RunChains()

    def look(
        self, project: ProjectSpec, states: Sequence[TriggerState], now: datetime, pauses: Sequence[Pause] = ()
    ) -> list[tuple[TriggerState, list[Fire]]]:
        """Evaluate the looks that have ended, and start those that are due, without waiting.

        Must be called in the main thread, because it starts processes, which end with the thread that has started them.

        Parameters
        ----------
        states
            The stored states of the triggers to check.
        pauses
            All pauses, including ended ones: a stopped trigger goes on when its scenario is resumed.

        Returns
        -------
        The changed states, each with its fires; they must be stored in one transaction.
        """
        self._threads.add_threads()
        self._variables = project.select_environment(self._environ)
        triggers = _list_data_triggers(project)
        known = {key: state for state in states if (key := (state.scenario, state.trigger)) in triggers}
        news = []
        for end in self._take_ends():
            key = end.key[1:]
            watched, begun = self._watched[key], self._watched[key].begun
            watched.begun = None
            state = known.get(key)
            if state is None or begun is None or (state.definition, state.seen) != (begun.definition, begun.seen):
                watched.asked = None  # the trigger has changed meanwhile
            else:
                news += self._take_end(watched, end, project, triggers[key], state, now)
        self._watched = {key: one for key, one in self._watched.items() if key in triggers or one.begun}
        answered = {(state.scenario, state.trigger) for state, _ in news}
        for key, state in known.items():
            watched = self._watched.setdefault(key, _WatchedTrigger(TriggerFiles(self._clock, self._environ)))
            if watched.begun is not None or key in answered:
                continue
            if watched.asked is not None:
                self._ask(key, watched, state)
            elif self._clock() >= watched.next_look and not self._is_stopped(project, state, pauses):
                self._start_look(key, watched, project, triggers[key], state, now)
        return news

    def _take_ends(self) -> list[Any]:
        ends = []
        with suppress(Empty):
            while True:
                ends.append(self._ends.get_nowait())
        return ends

    def _start_look(
        self,
        key: Key,
        watched: _WatchedTrigger,
        project: ProjectSpec,
        trigger: DataTrigger,
        state: TriggerState,
        now: datetime,
    ) -> None:
        watched.begun = state
        begin = _restart(state)
        if not begin.seen:
            watched.changed.clear()
        work = partial(self._look_at_files, watched.files, project, trigger, begin, now)
        self._threads.start((self, *key), work, self._ends.put)

    def _look_at_files(
        self, files: TriggerFiles, project: ProjectSpec, trigger: DataTrigger, state: TriggerState, now: datetime
    ) -> TriggerFound:
        sample = self._fill_values(project, Fire(state.scenario, state.trigger, "", now, now), _find_previous(state))
        if sample.state is FireState.SKIPPED:
            raise UsageError(sample.reason)
        return files.look(project, trigger, state, sample.values, now)

    def _ask(self, key: Key, watched: _WatchedTrigger, state: TriggerState) -> None:
        """Start the process that computes a query, unless all threads are busy."""
        if watched.asked is None or not self._threads.has_room:
            return
        watched.begun = state
        try:
            process = RunProcess(self._variables)
        except OSError as error:  # the system may be out of memory or of processes
            self._ends.put(ProbeEnd((self, *key), error=error))
            return
        self._processes.add(process)
        self._threads.start((self, *key), partial(self._converse, process, watched.asked.request), self._ends.put)

    def _converse(self, process: RunProcess, request: QueryRequest) -> QueryAnswer:
        try:
            with process:
                replies = process.execute(request, seconds=QUERY_SECONDS, pass_on=lambda _: None)
        finally:
            self._processes.discard(process)
        return QueryAnswer(replies.query, "" if replies.query is not None else replies.describe_failure())

    def _take_end(
        self,
        watched: _WatchedTrigger,
        end: ProbeEnd,
        project: ProjectSpec,
        trigger: DataTrigger,
        state: TriggerState,
        now: datetime,
    ) -> list[tuple[TriggerState, list[Fire]]]:
        """Return the new state of a trigger with its fires, if a look or a query has changed it."""
        begin, answer = _restart(state), None
        asked, watched.asked = watched.asked, None
        if isinstance(end.result, QueryAnswer) and asked is not None:
            answer = end.result
            found, inputs = asked.found, asked.inputs
        else:
            looked = (
                end.result if isinstance(end.result, TriggerFound) else describe_failed_look(trigger, begin, end.error)
            )
            found, inputs = self._take_files(watched, trigger, looked, now), looked.inputs
            if looked.request is not None and needs_answer(begin, found, inputs, always=looked.always):
                watched.asked = _Question(found, inputs, looked.request)
                return []
        if isinstance(trigger, DatasetChangedTrigger):
            new, fires = compare_datasets(trigger, begin, found, now)
        else:
            new, fires = compare_result(begin, found, inputs, answer, now)
        if fires:
            new, fires = self._check_chain(watched, project, state, new, fires, now)
        return [(new, fires)] if new != state else []

    def _take_files(
        self, watched: _WatchedTrigger, trigger: DataTrigger, looked: TriggerFound, now: datetime
    ) -> DatasetsFound:
        """Record the changed files and the time of the next look.

        Changes that a run seems to have made are held back, to see whether another program changes the files too.
        """
        watched.changed |= looked.changed
        watched.waits_for = looked.waits_for
        hold = self.chains.compute_hold(watched.changed, now)
        wait = max(SHORTEST_SECONDS, 10 * looked.took, min(looked.wait, hold if hold > 0 else math.inf))
        watched.next_look = self._clock() + min(wait, trigger.every.total_seconds())
        return replace(looked.found, writing=[*looked.found.writing, *looked.found.files]) if hold > 0 else looked.found

    def _check_chain(
        self,
        watched: _WatchedTrigger,
        project: ProjectSpec,
        before: TriggerState,
        new: TriggerState,
        fires: list[Fire],
        now: datetime,
    ) -> tuple[TriggerState, list[Fire]]:
        """Return the new state with the fires; or a stopped trigger, if its runs would start each other endlessly."""
        changed, watched.changed = watched.changed, {}
        depth = self.chains.measure_chain(changed)
        if depth > MOST_RUNS:
            seen = {**before.seen, "stopped": self._digest_spec(project)}
            return replace(before, seen=seen, error=describe_self_made(changed), error_since=now), []
        for path, file in changed.items():
            watched.settled.pop(path, None)
            if file is not None:
                watched.settled[path] = file
        for fire in fires:
            self.chains.note_fire(fire, depth)
        return new, [self._fill_values(project, fire, _find_previous(before)) for fire in fires]

    def _is_stopped(self, project: ProjectSpec, state: TriggerState, pauses: Sequence[Pause]) -> bool:
        """Return whether a trigger is stopped: the spec has not changed since, and nobody has resumed the scenario."""
        if "stopped" not in state.seen or state.seen["stopped"] != self._digest_spec(project):
            return False
        resumed = [one.ended for one in pauses if one.scenario == state.scenario and one.ended is not None]
        return state.error_since is None or all(ended <= state.error_since for ended in resumed)

    def _digest_spec(self, project: ProjectSpec) -> str:
        if self._spec is None or self._spec[0] is not project:
            self._spec = project, digest_json(project.resources.model_dump(mode="json"))
        return self._spec[1]

    def settled_states(self, scenario: str) -> dict[str, FileIdentity]:
        """Return, by absolute path, the identities of the files that have fired triggers of a scenario.

        They are `RunRequest.settled` of the run: a file with another identity is being written again, and the run waits
        for it.
        """
        found: dict[str, FileIdentity] = {}
        for (owner, _), watched in self._watched.items():
            if owner == scenario:
                found |= {str(make_absolute(path)): state for path, state in watched.settled.items()}
        return found

    def describe_stale(self) -> list[str]:
        """Return sentences about the looks that take longer than PROBE_SECONDS."""
        return [
            f"trigger {trigger} of scenario {scenario}: checking its data has taken {seconds:.0f} s so far"
            for (owner, scenario, trigger), seconds in self._threads.list_stale().items()
            if owner is self
        ]

    def describe_waits(self) -> list[str]:
        """Return sentences about changes that do not fire yet, and what they wait for."""
        return [
            f"trigger {trigger} of scenario {scenario}: {text}"
            for (scenario, trigger), watched in list(self._watched.items())  # a copy: the loop adds entries
            for text in watched.waits_for
        ]

    def close(self) -> None:
        """End the processes; a hanging thread ends with the server."""
        for process in list(self._processes):
            process.ask_to_end()


def _list_data_triggers(project: ProjectSpec) -> dict[Key, DataTrigger]:
    return {
        (name, trigger.name): trigger
        for name, scenario in project.scenarios.items()
        for trigger in scenario.triggers
        if isinstance(trigger, DatasetChangedTrigger | QueryChangedTrigger) and trigger.active
    }


def _find_previous(state: TriggerState) -> datetime | None:
    """Return the moment of the trigger's last fire; None if there is none."""
    return datetime.fromisoformat(state.seen["previous"]) if "previous" in state.seen else None


def _restart(state: TriggerState) -> TriggerState:
    """Return the state that a look begins with: a stopped trigger starts anew."""
    return replace(state, seen={}, error=None, error_since=None) if "stopped" in state.seen else state
