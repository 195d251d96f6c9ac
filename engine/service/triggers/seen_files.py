"""What a look at the files of datasets has found, and what a trigger remembers of it.

A trigger remembers digests, not files: its state stays small, and still tells after a restart of the server what has
changed meanwhile.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.digests import digest_json
from engine.store import Fire, TriggerState

UNREADABLE_FOR = timedelta(minutes=10)
"""What cannot be looked at for so long is a reason for a run, which says what is wrong."""


@dataclass(frozen=True, slots=True)
class SeenFiles:
    """The files of a dataset, when all of them were complete; a trigger remembers it as JSON.

    Attributes
    ----------
    path
        The dataset's path, as the spec declares it, with its variables filled in.
    states
        The digest of their names, sizes, times and inodes: if it is the same, nothing needs to be read.
    content
        The digest of their names and contents.
    marker
        The state of the marker, as text; empty if there is none.
    """

    path: str
    states: str
    content: str
    marker: str = ""


@dataclass(frozen=True, slots=True)
class DatasetsFound:
    """What a look at the datasets of a trigger has found.

    Attributes
    ----------
    sources
        By name of a dataset that the trigger names: the datasets of kind `file` that it reads, perhaps itself.
    files
        The files of these, except of those that are being written, or could not be read.
    errors
        Why datasets could not be read, by name.
    writing
        The datasets whose files are being written: a run would read half of them.
    """

    sources: Mapping[str, Collection[str]]
    files: Mapping[str, SeenFiles]
    errors: Mapping[str, str] = field(default_factory=dict)
    writing: Collection[str] = ()

    def join_files(self, state: TriggerState) -> dict[str, SeenFiles]:
        """Return the last known files of every source that is known at all."""
        names = {name for sources in self.sources.values() for name in sources}
        kept = {name: SeenFiles(**one) for name, one in state.seen.get("files", {}).items() if name in names}
        return {**kept, **self.files}


def note_files(
    state: TriggerState, found: DatasetsFound, now: datetime, problem: str = "", **seen: Any
) -> TriggerState:
    """Return the state with the files that were found, other facts, and why the trigger cannot be evaluated."""
    error = "; ".join([*found.errors.values(), *filter(None, [problem])]) or None
    files = {name: asdict(one) for name, one in sorted(found.join_files(state).items())}
    noted = replace(
        state,
        seen={**state.seen, "files": files, **seen},
        error=error,
        error_since=(state.error_since or now) if error else None,
    )
    return state if noted == state else replace(noted, evaluated_until=now)


def is_unreadable(state: TriggerState, now: datetime) -> bool:
    """Tell whether a trigger could not be evaluated for so long that a run has to say what is wrong."""
    return state.error_since is not None and now - state.error_since >= UNREADABLE_FOR


def make_fire(
    state: TriggerState,
    make_key: Callable[[str], str],
    change: tuple[object, object],
    changed: Sequence[str],
    now: datetime,
    **seen: Any,
) -> tuple[TriggerState, list[Fire]]:
    """Return the fire of a change, and the state after it.

    Parameters
    ----------
    make_key
        Makes the key of a digest. The digest covers what was before and after the change, and its number, because the
        same change may come again.
    seen
        What else is known after the fire.
    """
    number = state.seen.get("changes", 0) + 1
    key = make_key(digest_json([number, *change]))
    known = {**state.seen, "changes": number, "previous": now.isoformat(), **seen}
    fire = Fire(state.scenario, state.trigger, key, scheduled=now, seen_at=now, changed=tuple(changed))
    return replace(state, seen=known, evaluated_until=now), [fire]
