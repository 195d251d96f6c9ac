"""Triggers of kind `dataset_changed`: they fire when the content of files differs from that at the last fire.

The first content that is seen does not fire. After a downtime, the present content is compared once with that of the
last fire, so there is at most one fire.
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
    """Return the new state of a trigger, and its fire if one or (with `all`) all datasets have changed.

    It waits while files are being written or cannot be read; but files that cannot be read for ten minutes fire once,
    so that a run reports the problem.

    Parameters
    ----------
    state
        `seen` contains the `files` by dataset, their contents at the last fire as `fired`, the number of `changes` so
        far, the moment of the `previous` fire, and whether it has fired because files are `unreadable`.
    """
    files = found.join_files(state)
    fired = {name: state.seen.get("fired", {}).get(name, one.content) for name, one in sorted(files.items())}
    noted = note_files(state, found, now, fired=fired)
    unreadable = is_unreadable(noted, now)
    reported = bool(state.seen.get("unreadable")) and bool(found.errors)
    if reported != bool(state.seen.get("unreadable")):
        noted = replace(noted, seen={**noted.seen, "unreadable": reported})
    differing = {name for name, one in files.items() if one.content != fired[name]}
    changed = [name for name in trigger.datasets if not differing.isdisjoint(found.sources[name])]
    wanted = len(changed) == len(trigger.datasets) if trigger.all else bool(changed)
    news = unreadable and not reported
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
