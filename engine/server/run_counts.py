"""Counts runs by outcome and duration, and fires by state, since the start of the server.

Rows are removed from the state over time, but a counter must never decrease. So each row is counted once, by its
number, when it has become final. Manually started runs are counted too.
"""

from bisect import bisect_left
from collections import Counter
from datetime import datetime

from engine.store import OPEN_STATES, Store

SECONDS_BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""The upper bounds of the duration classes, in seconds."""


class RunCounts:
    """Counts of the runs and fires of one project since a moment.

    Attributes
    ----------
    runs
        The numbers of ended runs, by scenario and outcome.
    seconds, classes
        The sum of the durations of a scenario's runs, and their numbers per class; the last class has no bound.
    last_ends
        When a run last ended, by scenario and outcome, also before that moment.
    fires
        Fires that are DONE, COALESCED or SKIPPED, by scenario, trigger and state.
    """

    def __init__(self, store: Store, since: datetime) -> None:
        self.runs: Counter[tuple[str, str]] = Counter()
        self.seconds: dict[str, float] = {}
        self.classes: dict[str, list[int]] = {}
        self.fires: Counter[tuple[str, str, str]] = Counter()
        self.last_ends = store.operation.find_last_ends()
        self._last_end = store.operation.find_last_end(before=since)
        self._last_fire = store.operation.find_last_fire(before=since)
        self._open = set(store.operation.list_open_at(since))

    def update(self, store: Store) -> None:
        """Count the runs and fires that have become final since the last call; raise StoreError if that fails."""
        for end in store.operation.list_ends_after(self._last_end):
            self.runs[end.scenario, end.outcome] += 1
            self.seconds[end.scenario] = self.seconds.get(end.scenario, 0.0) + end.seconds
            classes = self.classes.setdefault(end.scenario, [0] * (len(SECONDS_BOUNDS) + 1))
            classes[bisect_left(SECONDS_BOUNDS, end.seconds)] += 1
            self.last_ends[end.scenario, end.outcome] = end.ended
            self._last_end = end.number
        for fire in store.operation.list_fires_after(self._last_fire, self._open):
            if fire.state in OPEN_STATES:
                self._open.add(fire.number)
            else:
                self._open.discard(fire.number)
                self.fires[fire.scenario, fire.trigger, fire.state] += 1
            self._last_fire = max(self._last_fire, fire.number)
