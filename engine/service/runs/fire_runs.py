"""Starts the runs of a project's fires in separate processes, and concludes the fires when they end.

The end of a run that an earlier server has started is looked up in the state.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from engine.scenarios.requests import AbortRequest, RunRequest
from engine.service.led_state import LedState
from engine.service.runs.child_runs import ChildProcess, ChildRuns
from engine.service.runs.fire_states import SERVER_ENDED, conclude_fire, skip_fire
from engine.service.runs.open_fires import OpenFires
from engine.service.runs.run_limits import find_excess, find_late_end
from engine.service.served_spec import ServedSpec
from engine.service.sources.data_probes import DataProbes
from engine.service.triggers.fire_keys import is_manual, is_of_data
from engine.service.triggers.fire_queue import arrange_queue, choose_fires
from engine.store import Fire, FireState, Pause, Store, generate_id

LOOK_SECONDS = 1.0
"""Seconds between looks for changes by other processes: pauses, ends of runs, the end of another leader."""

REPORT_SECONDS = 30.0
"""Seconds to wait before dead runs are marked again, after marking them has failed."""

MOST_TRIES = 3
"""If this many processes have ended before their run has begun, the fire is SKIPPED."""


class FireRuns:
    """The runs of the fires of one project, each in a separate process.

    Parameters
    ----------
    processes
        The processes of all projects.
    monotonic
        A monotonic clock in seconds.
    release
        The release that the processes must have.

    Attributes
    ----------
    dispatching
        Whether processes may be started.
    other_release
        The message of a process that has another release; empty if there was none.
    """

    def __init__(
        self,
        spec: ServedSpec,
        processes: ChildRuns,
        fires: OpenFires,
        state: LedState,
        probes: DataProbes,
        *,
        get_store: Callable[[], Store],
        report: Callable[..., None],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        release: str,
        checkpoint: Callable[[str], None],
    ) -> None:
        self._spec, self._key = spec, str(spec.path)
        self._processes, self._fires, self._state, self._probes = processes, fires, state, probes
        self._get_store, self._report = get_store, report
        self._clock, self._monotonic, self._release, self._checkpoint = clock, monotonic, release, checkpoint
        self._last_started: dict[str, datetime] = {}
        self._next_report = 0.0
        self.dispatching = True
        self.other_release = ""

    def dispatch(self, now: datetime, pauses: Sequence[Pause]) -> None:
        """Start the runs of waiting fires, as far as the queue and the limit of simultaneous runs allow."""
        waiting = self._fires.list_waiting()
        if not waiting or self._state.project is None:
            return
        changes = arrange_queue(self._state.project, waiting, now, pauses)
        if changes:
            self._fires.change_several(changes)
        for fire in choose_fires(self._fires.list_all(), now, self._processes.free, (), self._last_started):
            self._start(fire, now)

    def _start(self, fire: Fire, now: datetime) -> None:
        run = fire.run or generate_id(now)
        self._fires.change(fire, state=FireState.STARTING, run=run, reason="", next_try=None)
        self._last_started[fire.scenario] = now
        self._fires.note_process_begin(fire)
        self._checkpoint("after id")
        request = RunRequest(
            spec=self._spec.path,
            variables=dict(fire.values),
            scenarios=(fire.scenario,),
            run=run,
            as_of=fire.scheduled,
            trigger=fire.trigger,
            fire=fire.number,
            confined=tuple(fire.values) if is_manual(fire) else (),
            release=self._release,
            deliver=False,
            settled=self._probes.settled_states(fire.scenario) if is_of_data(fire) else {},
        )
        self._probes.chains.begin_run(run, fire, now)
        try:
            self._processes.start(self._key, request, self._spec.project)
        except OSError as error:
            self._fires.postpone(self._fires.find(fire.number) or fire, f"its process could not be started: {error}")
        self._checkpoint("after spawn")

    def note_begin(self, child: ChildProcess) -> None:
        """Record that the run of a process has begun."""
        if self._state.threads is not None:
            self._state.threads.set_busy(True)
        fire = self._fires.find_of_process(child)
        if fire is not None and fire.state is FireState.STARTING:
            self._fires.change(fire, state=FireState.RUNNING)

    def note_end(self, child: ChildProcess) -> None:
        """Record that a process has ended, and conclude its fire."""
        conversation = child.conversation
        cause = "" if conversation is None else conversation.cause
        text = child.describe_end()
        self._probes.chains.end_run(child.run, self._clock())
        if self._state.threads is not None:
            self._state.threads.set_busy(self.has_processes)
            self._state.threads.deliveries.wake()
        if cause == "other release":
            self.other_release = text
        if child.fire is None:
            if conversation is None or conversation.call is None:
                self._report("problem", f"runs that have died could not be reported: {text}")
                self._next_report = self._monotonic() + REPORT_SECONDS
            return
        fire = self._fires.find_of_process(child)
        if fire is None:
            return
        self._fires.note_process_end(fire, text)
        if cause in ("busy", "other release"):
            self._fires.postpone(fire, f"busy: {text}" if cause == "busy" else text)
        elif cause == "invalid spec":
            self._fires.conclude(fire, skip_fire(f"invalid spec: {text}"))
        else:
            self._settle(fire)

    def _settle(self, fire: Fire) -> None:
        """Conclude a fire from the state of its run, whose process has ended or was started by an earlier server."""
        text = self._fires.describe_process_end(fire)
        store = self._get_store()
        run = None if fire.run is None else store.runs.find(fire.run)
        if run is None:
            self._settle_unbegun(fire, text)
        elif run.outcome is not None:
            self._fires.conclude(fire, conclude_fire(fire, run, self._state.project), run)
        elif not store.runs.is_alive(run.id):
            if text and not fire.reason:
                self._fires.change(fire, reason=text)
            self.report_dead_runs()

    def _settle_unbegun(self, fire: Fire, text: str) -> None:
        if not text or text == SERVER_ENDED:  # the server ended before the run began: start the same run again
            self._fires.change(fire, state=FireState.WAITING)
        elif fire.reason:
            self._fires.conclude(fire, skip_fire(fire.reason))
        elif self._fires.count_tries(fire) + 1 < MOST_TRIES:
            self._fires.postpone(fire, f"its run has not begun: {text}")
        else:
            self._fires.conclude(fire, skip_fire(f"its run has not begun in {MOST_TRIES} tries: {text}"))

    def settle_unwatched(self) -> None:
        """Conclude runs that an earlier server has started, and mark dead runs."""
        # A run of the earlier server may still be running for a moment; then it is left alone.
        followed = {child.fire for child in self._processes.active if child.owner == self._key}
        for fire in self._fires.list_all():
            if fire.state is not FireState.WAITING and fire.number not in followed:
                self._settle(fire)
        if self._monotonic() >= self._next_report and self._get_store().runs.list_dead():
            self.report_dead_runs()

    def report_dead_runs(self) -> None:
        """Start a process that marks dead runs and composes their messages, which needs much memory."""
        if (
            not self.dispatching
            or self._monotonic() < self._next_report
            or any(child.owner == self._key and child.fire is None for child in self._processes.active)
        ):
            return
        self._next_report = self._monotonic() + LOOK_SECONDS
        self._processes.start(self._key, AbortRequest(spec=self._spec.path, release=self._release), self._spec.project)

    def end_overtime(self) -> None:
        """Abort runs that take longer than the node allows, and kill those that do not end in time."""
        for child in self._processes.active:
            fire = self._fires.find_of_process(child)
            if child.owner != self._key or fire is None or child.killed:
                continue
            now = self._monotonic()
            if reason := find_late_end(child, fire.scenario, self._state.project, now):
                self._fires.change(fire, reason=reason)
                child.kill(reason)
            elif not child.stopped and (reason := find_excess(child, self._state.project, now)):
                self.abort(child, reason)

    def abort(self, child: ChildProcess, reason: str) -> None:
        """Abort a run; the reason is recorded first, so that it is known even if the server dies."""
        fire = self._fires.find_of_process(child)
        if fire is not None:
            self._fires.change(fire, reason=reason)
        child.interrupt(reason)

    @property
    def has_processes(self) -> bool:
        """Whether processes of this project are running."""
        return any(child.owner == self._key for child in self._processes.active)
