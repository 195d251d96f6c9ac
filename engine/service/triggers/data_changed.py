"""Triggers of kind `dataset_changed`: they fire when the content of files differs from that at the last fire.

What is seen first is taken as it is. Nothing is caught up: after a downtime, what is there is compared with what was
there at the last fire, once.
"""

from dataclasses import replace
from datetime import datetime

from engine.service.triggers.fire_keys import data_key
from engine.service.triggers.seen_files import DatasetsFound, is_unreadable, make_fire, note_files
from engine.spec.resources.triggers import DatasetChangedTrigger
from engine.store import Fire, TriggerState


def compare_datasets(
    trigger: DatasetChangedTrigger, state: TriggerState, found: DatasetsFound, now: datetime
) -> tuple[TriggerState, list[Fire]]:
    """Return the new state of a trigger, and its fire if the datasets have changed as it wants.

    It waits while files are being written, and while some cannot be read: but after ten minutes of that it fires, once,
    so that a run says what is wrong.

    Parameters
    ----------
    state
        `seen` holds the `files` by dataset, their contents at the last fire as `fired`, the number of `changes` so far,
        the moment of the `previous` fire, and whether it was told that they are `unreadable`.
    """
    files = found.join_files(state)
    fired = {name: state.seen.get("fired", {}).get(name, one.content) for name, one in sorted(files.items())}
    noted = note_files(state, found, now, fired=fired)
    unreadable = is_unreadable(noted, now)
    told = bool(state.seen.get("unreadable")) and bool(found.errors)
    if told != bool(state.seen.get("unreadable")):
        noted = replace(noted, seen={**noted.seen, "unreadable": told})
    differing = {name for name, one in files.items() if one.content != fired[name]}
    changed = [name for name in trigger.datasets if not differing.isdisjoint(found.sources[name])]
    wanted = len(changed) == len(trigger.datasets) if trigger.all else bool(changed)
    news = unreadable and not told
    if found.writing or (found.errors and not unreadable) or not (wanted or news):
        return noted, []
    now_seen = {name: files[name].content for name in fired}
    unread = [name for name in trigger.datasets if not found.errors.keys().isdisjoint(found.sources[name])]
    return make_fire(
        noted,
        data_key,
        (fired, [now_seen, sorted(found.errors)]),
        list(dict.fromkeys([*changed, *(unread if news else [])])),
        now,
        fired=now_seen,
        unreadable=unreadable,
    )
