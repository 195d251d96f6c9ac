"""Opens the state of a project for one call: nothing stays open between calls, so no notebook holds a lock."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from engine.pipeline.context import StateContext
from engine.pipeline.log import LogLine
from engine.scenarios import session
from engine.scenarios.context import RunContext
from engine.spec import ProjectSpec

Listeners = Sequence[Callable[[LogLine], None]]


@contextmanager
def open_session(spec: ProjectSpec, environ: Mapping[str, str], listeners: Listeners) -> Iterator[RunContext]:
    """Open the project's state and data, and yield a context for runs."""
    with session.open_session(spec, environ=environ, listeners=listeners, reading=True) as context:
        yield context


@contextmanager
def open_state(spec: ProjectSpec, environ: Mapping[str, str], listeners: Listeners) -> Iterator[StateContext]:
    """Open the project's state without data; the messages of killed runs are sent first, as at the start of a run."""
    with session.open_state(spec, environ=environ, listeners=listeners, reading=True) as context:
        if context.store.runs.list_dead():
            with open_session(spec, environ, listeners):
                pass
        yield context
