"""The scheduler of one project: what is due becomes fires, and each fire is taken to its end.

Its methods are called by the main thread of the server, one tick after the other, and never wait for a run.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from engine.errors import EngineError, StoreError
from engine.scenarios.requests import RunRequest, TellRequest
from engine.service.child_runs import ChildProcess, ChildRuns
from engine.service.control import NextTimes, ServedProject
from engine.service.data_probes import DataProbes
from engine.service.fire_states import SERVER_ENDED, conclude_fire, skip_fire
from engine.service.led_state import LedState, has_current_tables
from engine.service.open_fires import OpenFires
from engine.service.project_threads import ProjectThreads
from engine.service.project_triggers import ProjectTriggers
from engine.service.run_limits import find_excess, find_late_end
from engine.service.serve_listener import ServeListener
from engine.service.served_spec import ServedSpec
from engine.service.triggers.fire_keys import data_key, is_manual, manual_key, query_key
from engine.service.triggers.fire_queue import arrange_queue, choose_fires
from engine.spec import ProjectSpec
from engine.store import Fire, FireState, Pause, Store, generate_id

LOOK_SECONDS = 1.0
"""How often it is looked for what other processes have changed: pauses, ends of runs, a leader that is gone."""

TELL_SECONDS = 30.0
"""How often it is looked for runs that were started by hand and have died; and the pause after telling has failed."""

LEAD = timedelta(seconds=10)
"""A process is made ready so long before a run: on a busy machine, what a run imports takes that long."""

MOST_TRIES = 3
"""Processes that may end before their run has begun; then the fire is SKIPPED."""


class ProjectScheduler:
    """The scheduler of one project.

    Parameters
    ----------
    runs
        The processes of all projects.
    clock
        Gives the time, in UTC.
    monotonic
        A clock in seconds that is never set.
    release
        The release that the processes must have.
    make_threads
        Returns the threads that work beside the scheduler, which get what to call with what they tell.
    probes
        Looks at the data of the project.
    checkpoint
        Called with the name of each point at which a crash must do no harm; tests end the process there.
    """

    def __init__(
        self,
        spec: ServedSpec,
        runs: ChildRuns,
        listener: ServeListener,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        release: str,
        checkpoint: Callable[[str], None],
        make_threads: Callable[[Store, ProjectSpec, Callable[..., None]], ProjectThreads],
        probes: DataProbes,
    ) -> None:
        self.spec = spec
        self.key = str(spec.path)
        self.store_problem = ""
        self.other_release = ""
        self._runs, self._listener = runs, listener
        self._clock, self._monotonic, self._release, self._checkpoint = clock, monotonic, release, checkpoint
        self._probes = probes
        self._state = LedState(clock, lambda store, project: make_threads(store, project, self._tell))
        self._project: ProjectSpec | None = None
        self._open = OpenFires(self._get_store, self._tell, clock, checkpoint)
        self._pauses: Sequence[Pause] = ()
        self._last_started: dict[str, datetime] = {}
        self._next_look = self._next_tell = 0.0
        self._told_standby = False
        self._spec_is_new = False
        self._dispatching = True

    # --- leading

    @property
    def is_leader(self) -> bool:
        """Whether this server runs the project."""
        return self._state.is_open

    @property
    def is_standby(self) -> bool:
        """Whether another server runs the project, as far as this one has looked."""
        return self._told_standby and not self.is_leader

    @property
    def store(self) -> Store | None:
        """The state of the project; None while this server does not run it."""
        return self._state.store

    @property
    def name(self) -> str:
        """The name of the project, of a deployment with its own name; the path until the spec has been valid."""
        project = self.spec.project
        if project is None:
            return self.key
        return project.name if project.revision is None else f"{project.name}@{project.revision.deployment}"

    def describe(self) -> ServedProject:
        """Return how the project stands now."""
        return ServedProject(
            name=self.name,
            path=self.spec.path,
            spec=self.spec.project,
            store=self.store,
            leader=self.is_leader,
            standby=self.is_standby,
            spec_problems=self.spec.problems,
            spec_findings=self.spec.findings,
            store_problem=self.store_problem,
            stale=tuple(self._probes.describe_stale()),
            waits=tuple(self._probes.describe_waits()),
        )

    def _try_lead(self) -> None:
        """Take over the project, if no other server has it."""
        project = self.spec.project
        if project is None:
            return
        if self._state.is_elsewhere(project):
            self.close(0.0)
        if not self._state.try_take(project):
            if not self._told_standby:
                self._told_standby = True
                self._tell("standby", "another server runs it: this one takes over when that ends")
            return
        if not has_current_tables(project):
            self._tell_dead()
            return
        self._state.open(project)
        self._project = project
        self._told_standby = False
        self._open.known = False
        self._tell_triggers("served", f"served from {self.spec.path}")

    def close(self, seconds: float) -> None:
        """Deliver what is due, for so many seconds at most, close the state, and let another server run the project."""
        self._probes.close()
        self._state.close(seconds)

    # --- the tick

    def tick(self, *, dispatching: bool = True) -> None:
        """Do what is to be done now. A state that cannot be used is told, and tried again at the next tick."""
        self._dispatching, was_leader = dispatching, self.is_leader
        looks = self._monotonic() >= self._next_look
        if not (self.is_leader or (looks and dispatching)):
            return
        try:
            if not self.is_leader:
                self._next_look = self._monotonic() + LOOK_SECONDS
                self._try_lead()
            if self.is_leader:
                self._advance(looks, dispatching)
        except EngineError as problem:
            self.note_problem(str(problem))
        except Exception as bug:  # noqa: BLE001 - other projects go on, and this one is tried again
            self.note_problem(f"internal error: {bug!r}. This is a bug", traceback.format_exc())
        else:
            if self.store_problem and was_leader:  # one that begins now says so itself
                self._tell("recovered", "this problem is over, it goes on")
            self.store_problem = ""

    def note_problem(self, text: str, details: str = "") -> None:
        """Tell a problem of the state, once; the first tick without one tells that it is over."""
        if text != self.store_problem:
            self._tell("problem", f"{text}:\n{details}" if details else text)
        self.store_problem = text
        self._open.known = False

    def _advance(self, looks: bool, dispatching: bool) -> None:
        if self._spec_is_new and not self._take_new_spec():
            return
        store = self._get_store()
        now = self._clock()
        if looks:
            self._next_look = self._monotonic() + LOOK_SECONDS
            self._leave_replaced_state(store)
            self._pauses = store.pauses.history()
        if dispatching:
            self._take_new_fires(now, looks)
        self._open.read()
        self._settle_unwatched(looks)
        self._end_overtime()
        if dispatching:
            self._dispatch(now)

    def _leave_replaced_state(self, store: Store) -> None:
        """Close the state if another one is in its place, which a later tick opens; raises StoreError then."""
        if self._state.is_replaced:
            if not self.has_processes:
                self.close(LOOK_SECONDS)
            raise StoreError(
                f"{store.database.name} was replaced or removed while this server ran: what is in its place is opened "
                "when no run of the project is at work. What to do: end the server before you replace it"
            )

    def _take_new_fires(self, now: datetime, looks: bool) -> None:
        triggers = self._get_triggers()
        states, fires = triggers.take_due(now, self._pauses)
        if looks:
            finished_states, finished_fires = triggers.take_finished(now)
            states, fires = states + finished_states, fires + finished_fires
        if triggers.watches_data and self._project is not None:
            for state, new in self._probes.look(self._project, triggers.states, now, self._pauses):
                states, fires = [*states, state], [*fires, *new]
        if not states and not fires:
            triggers.settle_due(now)
            return
        inserted = self._get_store().fires.advance(states, fires)
        self._checkpoint("after insert")
        triggers.note(states)
        triggers.settle_due(now)
        for fire in inserted:
            self._open.add(fire)

    def _dispatch(self, now: datetime) -> None:
        waiting = self._open.list_waiting()
        if not waiting or self._project is None:
            return
        changes = arrange_queue(self._project, waiting, now, self._pauses)
        if changes:
            self._open.change_several(changes)
        for fire in choose_fires(self._open.list_all(), now, self._runs.free, (), self._last_started):
            self._start(fire, now)

    def _start(self, fire: Fire, now: datetime) -> None:
        run = fire.run or generate_id(now)
        self._open.change(fire, state=FireState.STARTING, run=run, reason="", next_try=None)
        self._last_started[fire.scenario] = now
        self._open.note_process_begin(fire)
        self._checkpoint("after id")
        request = RunRequest(
            spec=self.spec.path,
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
            self._runs.start(self.key, request, self.spec.project)
        except OSError as error:
            self._open.postpone(self._open.find(fire.number) or fire, f"its process could not be started: {error}")
        self._checkpoint("after spawn")

    # --- the ends of runs

    def note_begin(self, child: ChildProcess) -> None:
        """Take in that the run of a process has begun."""
        if self._state.threads is not None:
            self._state.threads.set_busy(True)
        fire = self._open.find_of_process(child)
        if fire is not None and fire.state is FireState.STARTING:
            self._open.change(fire, state=FireState.RUNNING)

    def note_end(self, child: ChildProcess) -> None:
        """Take in that a process has ended."""
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
                self._tell("problem", f"runs that have died could not be told: {text}")
                self._next_tell = self._monotonic() + TELL_SECONDS
            return
        fire = self._open.find_of_process(child)
        if fire is None:
            return
        self._open.note_process_end(fire, text)
        if cause in ("busy", "other release"):
            self._open.postpone(fire, f"busy: {text}" if cause == "busy" else text)
        elif cause == "invalid spec":
            self._open.conclude(fire, skip_fire(f"invalid spec: {text}"))
        else:
            self._settle(fire)

    def _settle(self, fire: Fire) -> None:
        """Take in what has become of the run of a fire whose process this server does not follow (any more)."""
        text = self._open.describe_process_end(fire)  # how its process has ended, if this server has seen it
        store = self._get_store()
        run = None if fire.run is None else store.runs.find(fire.run)
        if run is None:
            self._settle_unbegun(fire, text)
        elif run.outcome is not None:
            self._open.conclude(fire, conclude_fire(fire, run, self._project), run)
        elif not store.runs.is_alive(run.id):
            if text and not fire.reason:
                self._open.change(fire, reason=text)
            self._tell_dead()

    def _settle_unbegun(self, fire: Fire, text: str) -> None:
        if not text or text == SERVER_ENDED:  # it was cut off before its run had begun: the same run is begun again
            self._open.change(fire, state=FireState.WAITING)
        elif fire.reason:
            self._open.conclude(fire, skip_fire(fire.reason))
        elif self._open.count_tries(fire) + 1 < MOST_TRIES:
            self._open.postpone(fire, f"its run has not begun: {text}")
        else:
            self._open.conclude(fire, skip_fire(f"its run has not begun in {MOST_TRIES} tries: {text}"))

    def _settle_unwatched(self, looks: bool) -> None:
        """Look at runs that were begun by a server before this one, and at runs that have died."""
        if not looks:
            return
        # A run that was begun by the server before this one may still be at work for a moment: it is left alone.
        followed = {child.fire for child in self._runs.active if child.owner == self.key}
        for fire in self._open.list_all():
            if fire.state is not FireState.WAITING and fire.number not in followed:
                self._settle(fire)
        if self._monotonic() >= self._next_tell and self._get_store().runs.list_dead():
            self._tell_dead()

    def _tell_dead(self) -> None:
        """Let a process mark the runs that have died, and tell their reporters: composing messages loads much."""
        if (
            not self._dispatching
            or self._monotonic() < self._next_tell
            or any(child.owner == self.key and child.fire is None for child in self._runs.active)
        ):
            return
        self._next_tell = self._monotonic() + LOOK_SECONDS
        self._runs.start(self.key, TellRequest(spec=self.spec.path, release=self._release), self.spec.project)

    def _end_overtime(self) -> None:
        """End runs that take longer than the node allows, and kill those that do not end by themselves in time."""
        for child in self._runs.active:
            fire = self._open.find_of_process(child)
            if child.owner != self.key or fire is None or child.killed:
                continue
            now = self._monotonic()
            if reason := find_late_end(child, fire.scenario, self._project, now):
                self._open.change(fire, reason=reason)
                child.kill(reason)
            elif not child.stopped and (reason := find_excess(child, self._project, now)):
                self.abort(child, reason)

    def abort(self, child: ChildProcess, reason: str) -> None:
        """Let a run end as ABORTED; the reason is recorded first, so it is known whatever happens then."""
        fire = self._open.find_of_process(child)
        if fire is not None:
            self._open.change(fire, reason=reason)
        child.interrupt(reason)

    # --- telling

    def _tell_triggers(self, kind: str, text: str) -> None:
        """Tell how many triggers are active, and when the first of them is due."""
        found, nearest = self._get_triggers().describe_next(self._clock())
        self._tell(kind, f"{text}: {found}", next=nearest)

    def _tell(self, kind: str, text: str, **facts: object) -> None:
        self._listener.tell(kind, f"{self.name}: {text}", project=self.name, **facts)

    # --- what others ask

    def list_next_times(self, count: int) -> list[NextTimes]:
        """Return the next times of each trigger that is active and not paused."""
        if self._state.triggers is None:
            return []
        return self._state.triggers.list_next_times(self._clock(), count)

    def request_run(self, scenario: str, values: Mapping[str, str], request: str) -> tuple[Fire, bool]:
        """Record the fire of a run that somebody asks for; return it, and whether it is new. Raises StoreError."""
        now = self._clock()
        fire = Fire(scenario, "manual", manual_key(request), scheduled=now, seen_at=now, values=dict(values))
        store = self._get_store()
        inserted = store.fires.advance([], [fire])
        if inserted:
            self._open.add(inserted[0])
            return inserted[0], True
        return store.fires.find(scenario, "manual", fire.key) or fire, False

    def take_spec(self) -> None:
        """Go by the spec as it was read last, from the next tick on; also to be called when the clock was set."""
        self._spec_is_new = True

    def _take_new_spec(self) -> bool:
        """Go by the spec as it was read last; return False if its state is in another folder, which is opened first."""
        project = self.spec.project
        if project is not None and self._state.is_elsewhere(project):
            if not self.has_processes:
                self.close(LOOK_SECONDS)
                self._spec_is_new = False
            return False
        if project is not None:
            self._get_triggers().replace_project(project, self._clock())
            if self._state.threads is not None:
                self._state.threads.replace_project(project)
            self._state.note_revision(project)
            before, self._project = self._project, project
            if before is None or project.digest != before.digest:
                self._tell_triggers("spec", f"goes by {self.spec.path} as it is now")
        self._spec_is_new = False
        return True

    @property
    def wakes_at(self) -> datetime | None:
        """When the next tick has something to do, as far as it depends on time."""
        times = [fire.next_try for fire in self._open.list_all() if fire.next_try is not None]
        if self._state.triggers is not None and (due := self._state.triggers.next_due):
            times.append(due)
        return min(times, default=None)

    @property
    def expects_run(self) -> bool:
        """Whether a run may begin soon: at a known time, when another run has ended, or when data is complete."""
        if self._state.triggers is None:
            return False
        followed = self._state.triggers.followed
        return (
            ((time := self.wakes_at) is not None and time <= self._clock() + LEAD)
            or any(fire.scenario in followed or _waits_for_place(fire) for fire in self._open.list_all())
            or bool(self._probes.describe_waits())
        )

    @property
    def has_processes(self) -> bool:
        """Whether processes of this project are at work."""
        return any(child.owner == self.key for child in self._runs.active)

    def _get_store(self) -> Store:
        if self.store is None:
            raise StoreError(f"{self.name}: this server does not run the project")
        return self.store

    def _get_triggers(self) -> ProjectTriggers:
        if self._state.triggers is None:
            raise StoreError(f"{self.name}: this server does not run the project")
        return self._state.triggers


def is_of_data(fire: Fire) -> bool:
    """Return whether a change of data is the cause of a fire."""
    return fire.key.startswith((data_key(""), query_key("")))


def _waits_for_place(fire: Fire) -> bool:
    return fire.state is FireState.WAITING and fire.next_try is None
