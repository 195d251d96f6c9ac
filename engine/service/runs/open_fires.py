"""The open fires of a project: changes are written to the store and reported."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.formatting.moments import format_second
from engine.outcome import Outcome
from engine.service.runs.child_runs import ChildProcess
from engine.service.runs.fire_states import postpone_fire
from engine.store import OPEN_STATES, Fire, FireState, RunRecord, Store, shorten_id


class OpenFires:
    """The open fires of a project.

    Parameters
    ----------
    get_store
        Returns the state of the project; raises StoreError if this server does not run it.
    report
        Reports an event to the user: its kind, a text, and facts.
    clock
        Returns the time in UTC.
    checkpoint
        Called with the name of each point at which a crash must do no harm.

    Attributes
    ----------
    known
        Whether the fires have been read from the state.
    """

    def __init__(
        self,
        get_store: Callable[[], Store],
        report: Callable[..., None],
        clock: Callable[[], datetime],
        checkpoint: Callable[[str], None],
    ) -> None:
        self._get_store, self._report, self._clock, self._checkpoint = get_store, report, clock, checkpoint
        self._fires: dict[int, Fire] = {}
        self._tries: dict[int, int] = {}
        self._process_ends: dict[int, str] = {}
        self.known = False

    def read(self) -> None:
        """Read the open fires from the state, unless they are known."""
        if not self.known:
            self._fires = {fire.number: fire for fire in self._get_store().fires.list_open()}
            self.known = True

    def list_all(self) -> list[Fire]:
        """Return all open fires in order."""
        return list(self._fires.values())

    def list_waiting(self) -> list[Fire]:
        """Return the fires whose run is not started yet."""
        return [fire for fire in self._fires.values() if fire.state is FireState.WAITING]

    def find(self, number: int) -> Fire | None:
        """Return the fire with this number; None if it is not open."""
        return self._fires.get(number)

    def find_of_process(self, child: ChildProcess) -> Fire | None:
        """Return the fire of a process's run; None if it is not open, or belongs to another state."""
        fire = None if child.fire is None else self.find(child.fire)
        return fire if fire is not None and fire.run == child.run else None

    def add(self, fire: Fire) -> None:
        """Add a new fire that was stored; one that is SKIPPED already is only reported."""
        if fire.state is FireState.WAITING:
            self._fires[fire.number] = fire
        else:
            self._report_fire(fire)

    def change(self, fire: Fire, **values: Any) -> None:
        """Set fields of a fire."""
        self._get_store().fires.change(fire.number, **values)
        self._take_in(fire.number, fire, values)

    def change_several(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Set fields of open fires, by their numbers, in one transaction."""
        self._get_store().fires.change_several(changes)
        for number, values in changes.items():
            self._take_in(number, self._fires[number], values)

    def _take_in(self, number: int, fire: Fire, values: Mapping[str, Any]) -> None:
        changed = replace(self._fires.get(number, fire), **values)
        if changed.state in OPEN_STATES:
            self._fires[number] = changed
            return
        self._fires.pop(number, None)
        self._tries.pop(number, None)
        self._process_ends.pop(number, None)
        if changed.state is not FireState.DONE:
            self._report_fire(changed)

    def postpone(self, fire: Fire, reason: str) -> None:
        """Delay a fire whose run could not begin; the first time is reported."""
        tries = self.count_tries(fire)
        self._tries[fire.number] = tries + 1
        if not tries:
            self._report("waits", f"{_name_fire(fire)} waits: {reason}", **_list_facts(fire))
        self.change(fire, **postpone_fire(self._clock(), tries, reason))

    def conclude(self, fire: Fire, changes: Mapping[str, Any], run: RunRecord | None = None) -> None:
        """Write the final state of a fire, and report its run, if that has ended."""
        self._checkpoint("before mark")
        self.change(fire, **changes)
        if run is not None:
            self._report_run(replace(fire, **changes), run)

    def count_tries(self, fire: Fire) -> int:
        """Return how often the run of a fire could not begin."""
        return self._tries.get(fire.number, 0)

    def note_process_begin(self, fire: Fire) -> None:
        """Forget the end of an earlier process, because a new one is about to be started."""
        self._process_ends.pop(fire.number, None)

    def note_process_end(self, fire: Fire, text: str) -> None:
        """Record how the process of a fire's run has ended."""
        self._process_ends[fire.number] = text

    def describe_process_end(self, fire: Fire) -> str:
        """Return how the process of a fire's run has ended; empty if this server has not seen it."""
        return self._process_ends.get(fire.number, "")

    def _report_fire(self, fire: Fire) -> None:
        what = f"into fire {fire.into}" if fire.into else fire.reason
        self._report(str(fire.state).lower(), f"{_name_fire(fire)} {fire.state}: {what}", **_list_facts(fire))

    def _report_run(self, fire: Fire, run: RunRecord) -> None:
        seconds = (run.ended - run.started).total_seconds() if run.ended else 0.0
        text = f"{_name_fire(fire)} -> run {shorten_id(run.id)} -> {run.state} in {seconds:.1f} s"
        facts = {"run": run.id, "outcome": run.state, "seconds": seconds}
        reason = fire.reason or _find_failure(run)
        self._report("run", f"{text}{f': {reason}' if reason else ''}", **_list_facts(fire), **facts)


def _find_failure(run: RunRecord) -> str:
    """Return the first FAILED step of a run with its reason; empty if there is none."""
    failed = (step for step in run.steps if step.outcome is Outcome.FAILED)
    return next((f"{step.name}: {step.reason or 'by what its checks found'}" for step in failed), "")


def _name_fire(fire: Fire) -> str:
    return f"{fire.scenario}, {fire.trigger} of {format_second(fire.scheduled)}"


def _list_facts(fire: Fire) -> dict[str, object]:
    return {
        "fire": fire.number,
        "scenario": fire.scenario,
        "trigger": fire.trigger,
        "scheduled": fire.scheduled,
        "state": str(fire.state),
        "reason": fire.reason,
    }
