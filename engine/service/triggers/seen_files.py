"""The result of a look at the files of datasets, and its digests in the state of a trigger.

A trigger stores digests, not files: its state stays small, and changes during a downtime of the server are found.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.digests import digest_json
from engine.store import Fire, TriggerState

UNREADABLE_FOR = timedelta(minutes=10)
"""Data that cannot be read for this long start a run, which reports the problem."""


@dataclass(frozen=True, slots=True)
class SeenFiles:
    """The digests of a dataset's files when all of them were complete; a trigger stores them as JSON.

    Attributes
    ----------
    path
        The declared path of the dataset, with variables resolved.
    states
        The digest of the files' names, sizes, times and inodes: if it is unchanged, no file needs to be read.
    content
        The digest of the files' names and contents.
    marker
        The identity of the marker, as text; empty if there is none.
    """

    path: str
    states: str
    content: str
    marker: str = ""


@dataclass(frozen=True, slots=True)
class DatasetsFound:
    """The result of a look at the datasets of a trigger.

    Attributes
    ----------
    sources
        For each dataset of the trigger, the file and table datasets that it reads, possibly itself.
    files
        The digests of these, except of those that are being written or cannot be read.
    errors
        Why datasets cannot be read, by name.
    writing
        The datasets whose files are being written, so that a run would read incomplete data.
    """

    sources: Mapping[str, Collection[str]]
    files: Mapping[str, SeenFiles]
    errors: Mapping[str, str] = field(default_factory=dict)
    writing: Collection[str] = ()

    def join_files(self, state: TriggerState) -> dict[str, SeenFiles]:
        """Return the last known digests of each source, if there are any."""
        names = {name for sources in self.sources.values() for name in sources}
        kept = {name: SeenFiles(**one) for name, one in state.seen.get("files", {}).items() if name in names}
        return {**kept, **self.files}


def note_files(
    state: TriggerState, found: DatasetsFound, now: datetime, problem: str = "", **seen: Any
) -> TriggerState:
    """Return the state with the found files, other facts, and the reason why the trigger cannot be evaluated."""
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
    """Return whether a trigger could not be evaluated for UNREADABLE_FOR, so that a run must report the problem."""
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
        Makes the key from a digest. The digest covers the values before and after the change, and the number of the
        change, because the same change may occur again.
    seen
        Further facts of the new state.
    """
    number = state.seen.get("changes", 0) + 1
    key = make_key(digest_json([number, *change]))
    known = {**state.seen, "changes": number, "previous": now.isoformat(), **seen}
    fire = Fire(state.scenario, state.trigger, key, scheduled=now, seen_at=now, changed=tuple(changed))
    return replace(state, seen=known, evaluated_until=now), [fire]
