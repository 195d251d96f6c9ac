"""The scheduler of one project: it creates fires when triggers are due, starts their runs and concludes them.

Its methods are called by the main thread of the server, once per tick, and never wait for a run.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from engine.errors import EngineError, StoreError
from engine.service.control import NextTimes, ServedProject
from engine.service.led_state import LedState, has_current_tables
from engine.service.project_threads import ProjectThreads
from engine.service.project_triggers import ProjectTriggers
from engine.service.runs.child_runs import ChildRuns
from engine.service.runs.fire_runs import LOOK_SECONDS, FireRuns
from engine.service.runs.open_fires import OpenFires
from engine.service.serve_listener import ServeListener
from engine.service.served_spec import ServedSpec
from engine.service.sources.data_probes import DataProbes
from engine.service.triggers.fire_keys import manual_key
from engine.spec import ProjectSpec
from engine.store import Fire, FireState, Pause, Store

LEAD = timedelta(seconds=10)
"""A process is started this long before an expected run: on a busy machine, its imports take that long."""


class ProjectScheduler:
    """The scheduler of one project.

    Parameters
    ----------
    processes
        The processes of all projects.
    clock
        Returns the time in UTC.
    monotonic
        A monotonic clock in seconds.
    release
        The release that the processes must have.
    make_threads
        Returns the background threads of the project; its last argument is the function that they report events to.
    probes
        Checks the data of the project for changes.
    checkpoint
        Called with the name of each point at which a crash must do no harm; tests end the process there.

    Attributes
    ----------
    runs
        The runs of its fires.
    """

    def __init__(
        self,
        spec: ServedSpec,
        processes: ChildRuns,
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
        self._listener, self._probes = listener, probes
        self._clock, self._monotonic, self._checkpoint = clock, monotonic, checkpoint
        self._state = LedState(clock, lambda store, project: make_threads(store, project, self._report))
        self._open = OpenFires(self._get_store, self._report, clock, checkpoint)
        self.runs = FireRuns(
            spec,
            processes,
            self._open,
            self._state,
            probes,
            get_store=self._get_store,
            report=self._report,
            clock=clock,
            monotonic=monotonic,
            release=release,
            checkpoint=checkpoint,
        )
        self._pauses: Sequence[Pause] = ()
        self._next_look = 0.0
        self._reported_standby = False
        self._spec_is_new = False

    # --- leading

    @property
    def is_leader(self) -> bool:
        """Whether this server runs the project."""
        return self._state.is_open

    @property
    def is_standby(self) -> bool:
        """Whether another server runs the project, as of the last look."""
        return self._reported_standby and not self.is_leader

    @property
    def store(self) -> Store | None:
        """The state of the project; None while this server does not run it."""
        return self._state.store

    @property
    def name(self) -> str:
        """The name of the project, with that of its deployment; the path until the spec has been valid."""
        project = self.spec.project
        if project is None:
            return self.key
        return project.name if project.revision is None else f"{project.name}@{project.revision.deployment}"

    def describe(self) -> ServedProject:
        """Return the status of the project."""
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
        """Become the leader of the project, if no other server is."""
        project = self.spec.project
        if project is None:
            return
        if self._state.is_elsewhere(project):
            self.close(0.0)
        if not self._state.try_take(project):
            if not self._reported_standby:
                self._reported_standby = True
                self._report("standby", "another server runs it: this one takes over when that ends")
            return
        if not has_current_tables(project):
            self.runs.report_dead_runs()
            return
        self._state.open(project)
        self._reported_standby = False
        self._open.known = False
        self._report_triggers("served", f"served from {self.spec.path}")
        self._report_trigger_errors()

    def close(self, seconds: float) -> None:
        """Deliver due messages for at most `seconds`, close the state, and let another server run the project."""
        self._probes.close()
        self._state.close(seconds)

    # --- the tick

    def tick(self, *, dispatching: bool = True) -> None:
        """Do all due work. A state that cannot be used is reported, and tried again at the next tick."""
        self.runs.dispatching, was_leader = dispatching, self.is_leader
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
            if self.store_problem and was_leader:  # a new leader reports its beginning in any case
                self._report("recovered", "this problem is over, the project continues")
            self.store_problem = ""

    def note_problem(self, text: str, details: str = "") -> None:
        """Report a problem of the state once; the first tick without a problem reports that it is over."""
        if text != self.store_problem:
            self._report("problem", f"{text}:\n{details}" if details else text)
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
        if looks:
            self.runs.settle_unwatched()
        self.runs.end_overtime()
        if dispatching:
            self.runs.dispatch(now, self._pauses)

    def _leave_replaced_state(self, store: Store) -> None:
        """Close a state that was replaced, and raise StoreError; a later tick opens the new one."""
        if self._state.is_replaced:
            if not self.runs.has_processes:
                self.close(LOOK_SECONDS)
            raise StoreError(
                f"{store.database.name} was replaced or removed while this server ran: what is in its place is opened "
                "when no run of the project is running. What to do: end the server before you replace it"
            )

    def _take_new_fires(self, now: datetime, looks: bool) -> None:
        triggers = self._get_triggers()
        states, fires = triggers.take_due(now, self._pauses)
        if looks:
            finished_states, finished_fires = triggers.take_finished(now)
            states, fires = states + finished_states, fires + finished_fires
        if triggers.watches_data and self._state.project is not None:
            for state, new in self._probes.look(self._state.project, triggers.states, now, self._pauses):
                states, fires = [*states, state], [*fires, *new]
        if not states and not fires:
            triggers.settle_due(now)
            return
        inserted = self._get_store().fires.advance(states, fires)
        self._checkpoint("after insert")
        triggers.note(states)
        triggers.settle_due(now)
        self._report_trigger_errors()
        for fire in inserted:
            self._open.add(fire)

    # --- reports
    def _report_triggers(self, kind: str, text: str) -> None:
        """Report how many triggers are active, and when the first of them is due."""
        found, nearest = self._get_triggers().describe_next(self._clock())
        self._report(kind, f"{text}: {found}", next=nearest)

    def _report_trigger_errors(self) -> None:
        for state, text in self._get_triggers().list_new_errors():
            self._report("trigger", f"trigger {state.trigger!r} of {state.scenario!r} {text}", scenario=state.scenario)

    def _report(self, kind: str, text: str, **facts: object) -> None:
        self._listener.report(kind, f"{self.name}: {text}", project=self.name, **facts)

    # --- requests
    def list_next_times(self, count: int) -> list[NextTimes]:
        """Return the next times of each trigger that is active and not paused."""
        if self._state.triggers is None:
            return []
        return self._state.triggers.list_next_times(self._clock(), count)

    def request_run(self, scenario: str, values: Mapping[str, str], request: str) -> tuple[Fire, bool]:
        """Record the fire of a requested run; return it, and whether it is new. Raises StoreError."""
        now = self._clock()
        fire = Fire(scenario, "manual", manual_key(request), scheduled=now, seen_at=now, values=dict(values))
        store = self._get_store()
        inserted = store.fires.advance([], [fire])
        if inserted:
            self._open.add(inserted[0])
            return inserted[0], True
        return store.fires.find(scenario, "manual", fire.key) or fire, False

    def take_spec(self) -> None:
        """Use the last read spec from the next tick on; must also be called when the clock was set."""
        self._spec_is_new = True

    def _take_new_spec(self) -> bool:
        """Use the last read spec; return False if its state is in another folder, which must be opened first."""
        project = self.spec.project
        if project is not None and self._state.is_elsewhere(project):
            if not self.runs.has_processes:
                self.close(LOOK_SECONDS)
                self._spec_is_new = False
            return False
        if project is not None:
            before = self._state.project
            self._state.replace_project(project)
            if before is None or project.digest != before.digest:
                self._report_triggers("spec", f"uses the current {self.spec.path}")
        self._spec_is_new = False
        return True

    @property
    def wakes_at(self) -> datetime | None:
        """When the next tick has work that depends on time."""
        times = [fire.next_try for fire in self._open.list_all() if fire.next_try is not None]
        if self._state.triggers is not None and (due := self._state.triggers.next_due):
            times.append(due)
        return min(times, default=None)

    @property
    def expects_run(self) -> bool:
        """Whether a run may begin soon: at a known time, when another run ends, or when data are complete."""
        if self._state.triggers is None:
            return False
        followed = self._state.triggers.followed
        return (
            ((time := self.wakes_at) is not None and time <= self._clock() + LEAD)
            or any(fire.scenario in followed or _waits_for_place(fire) for fire in self._open.list_all())
            or bool(self._probes.describe_waits())
        )

    def _get_store(self) -> Store:
        if self.store is None:
            raise StoreError(f"{self.name}: this server does not run the project")
        return self.store

    def _get_triggers(self) -> ProjectTriggers:
        if self._state.triggers is None:
            raise StoreError(f"{self.name}: this server does not run the project")
        return self._state.triggers


def _waits_for_place(fire: Fire) -> bool:
    return fire.state is FireState.WAITING and fire.next_try is None
