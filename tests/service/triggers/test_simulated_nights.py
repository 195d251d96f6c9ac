"""A scheduler's days, simulated: ticks, downtimes, clocks that are set, and changes of the spec, against a naive twin.

The twin looks at every minute of the time since it last looked, and decides one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ZONES = (
    *("America/New_York", "Europe/Berlin", "Australia/Lord_Howe"),
    *("Pacific/Chatham", "America/Havana", "Pacific/Auckland"),
)
MINUTE = timedelta(minutes=1)
FIRST_DAYS = (
    *("2026-03-07", "2026-03-28", "2026-04-04", "2026-09-26"),
    *("2026-10-03", "2026-10-24", "2026-10-31", "2026-07-01"),
)
"""Before the nights of the clock changes of these zones, and one without any."""


@dataclass(frozen=True)
class NaiveTrigger:
    """A trigger with minutes and hours, a star instead of hours, or the minutes between two times of an interval."""

    name: str
    catch_up: str
    grace: int
    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    star: bool = False
    every: int = 0
    active: bool = True

    def write(self) -> str:
        minutes = ",".join(map(str, self.minutes)) or "*"
        hours = "*" if self.star else ",".join(map(str, self.hours))
        times = (
            f"kind: interval, every: {self.every}m" if self.every else f"kind: cron, cron: '{minutes} {hours} * * *'"
        )
        return (f"{{name: {self.name}, active: {str(self.active).lower()}, catch_up: {self.catch_up}, "
                f"grace: {self.grace}s, {times}}}")  # fmt: skip


@lru_cache(maxsize=200_000)
def read_clock(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def find_minutes(
    trigger: NaiveTrigger, zone: str, first_seen: datetime, after: datetime, until: datetime
) -> list[datetime]:
    """Return the instants at which a trigger was due, by looking at every minute."""
    if trigger.every:
        grid = first_seen.replace(microsecond=0)
        steps = range(1, int((until - grid) / MINUTE / trigger.every) + 2)
        return [one for n in steps if after < (one := grid + n * trigger.every * MINUTE) <= until]
    found = []
    now = after.replace(second=0, microsecond=0) - 150 * MINUTE
    furthest = read_clock(now, zone)
    while (now := now + MINUTE) <= until:
        wall = read_clock(now, zone)
        passed = [wall] if trigger.star else [furthest + n * MINUTE for n in range(1, (wall - furthest) // MINUTE + 1)]
        furthest = max(furthest, wall)
        minutes, hours = trigger.minutes or range(60), range(24) if trigger.star else trigger.hours
        if now > after and any(one.minute in minutes and one.hour in hours for one in passed):
            found.append(now)
    return found


@dataclass
class NaiveScheduler:
    """What a scheduler must have decided, as states by trigger and moment."""

    zone: str
    triggers: list[NaiveTrigger]
    cursors: dict[str, datetime] = field(default_factory=dict)
    first_seen: dict[str, datetime] = field(default_factory=dict)
    decided: dict[tuple[str, datetime], str] = field(default_factory=dict)

    def start_anew(self, trigger: NaiveTrigger, now: datetime) -> None:
        self.cursors[trigger.name] = self.first_seen[trigger.name] = now

    def tick(self, now: datetime) -> None:
        due: list[tuple[NaiveTrigger, list[datetime], list[datetime]]] = []
        for one in self.triggers:
            if one.active:
                after = min(self.cursors[one.name], now)
                times = find_minutes(one, self.zone, self.first_seen[one.name], after, now)
                late = [t for t in times if now - t > timedelta(seconds=one.grace)]
                due.append((one, late, times[len(late) :]))
                self.cursors[one.name] = now
        lasts = [late[-1] for one, late, _ in due if late and one.catch_up == "last"]
        made_up_for = False
        for one, late, in_time in due:
            kept = 100 if one.catch_up == "all" else 0
            if one.catch_up == "last" and late and late[-1] == max(lasts) and not made_up_for:
                made_up_for, kept = True, 1
            decided = self.decide(one.name, late, kept) | self.decide(one.name, in_time, 100)
            self.decided = {**decided, **self.decided}  # what is known is not decided again

    def decide(self, name: str, due: list[datetime], kept: int) -> dict[tuple[str, datetime], str]:
        """The newest are run, a hundred before them are told, those before are counted."""
        run = due[len(due) - kept :] if len(due) > kept else due
        told = due[: len(due) - len(run)][-100:]
        return {(name, t): "WAITING" for t in run} | {(name, t): "SKIPPED" for t in told}


def draw_trigger(name: str) -> st.SearchStrategy[NaiveTrigger]:
    minutes = st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True).map(tuple)
    hours = st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True).map(tuple)
    common = (st.sampled_from(["none", "last", "all"]), st.sampled_from([1, 60, 300, 7200]))
    return st.one_of(
        st.builds(NaiveTrigger, st.just(name), *common, minutes, hours),
        st.builds(NaiveTrigger, st.just(name), *common, minutes, star=st.just(True)),
        st.builds(NaiveTrigger, st.just(name), *common, every=st.integers(1, 2000).filter(lambda n: n % 1440 != 0)),
    )


def redefine(one: NaiveTrigger) -> NaiveTrigger:
    return replace(one, every=one.every and one.every % 1000 + 1, minutes=tuple((n + 7) % 60 for n in one.minutes))


CHANGES = {
    "redefine": redefine,
    "switch": lambda one: replace(one, active=not one.active),
    "rename": lambda one: replace(one, name=one.name + "x"),
}
"""The changes of the spec that make a trigger start from now."""


events = st.one_of(
    st.tuples(st.just("tick"), st.integers(1, 90)),
    st.tuples(st.just("tick"), st.integers(1, 3 * 3600)),
    st.tuples(st.just("down"), st.integers(600, 30 * 3600)),
    st.tuples(st.just("set back"), st.integers(1, 4 * 3600)),
    st.tuples(st.sampled_from([*CHANGES]), st.integers(0, 1)),
)


def simulate(make_project, ticking, zone: str, first_day: str, triggers, happenings) -> None:
    now = datetime.fromisoformat(first_day).replace(hour=20, tzinfo=UTC)
    naive = NaiveScheduler(zone, list(triggers))
    for one in triggers:
        naive.start_anew(one, now)
    ticks = ticking(make_project(zone, s=[one.write() for one in triggers]), now)
    for what, size in happenings:
        if what in CHANGES:
            place = size % len(naive.triggers)
            changed = CHANGES[what](naive.triggers[place])
            naive.triggers[place] = changed
            naive.start_anew(changed, now)
            ticks.reconcile(now, make_project(zone, s=[one.write() for one in naive.triggers]))
            continue
        now += timedelta(seconds=-size if what == "set back" else size)
        if what == "set back":
            naive.cursors = {name: min(cursor, now) for name, cursor in naive.cursors.items()}
            naive.first_seen = {name: min(seen, now) for name, seen in naive.first_seen.items()}
            ticks.reconcile(now)
            continue
        naive.tick(now)
        new = ticks.tick(now)
        assert all(one.scheduled <= now for one in new)
        assert all(one.reason for one in new if one.state == "SKIPPED")
        assert {(one.trigger, one.scheduled): one.state for one in ticks.fires.values()} == naive.decided


@pytest.fixture
def check(make_project, ticking) -> Callable[..., None]:
    def run(*drawn) -> None:
        simulate(make_project, ticking, *drawn)

    return run


drawn = (
    st.sampled_from(ZONES),
    st.sampled_from(FIRST_DAYS),
    st.tuples(draw_trigger("a"), draw_trigger("b")),
    st.lists(events, min_size=3, max_size=12),
)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(QUICK, max_examples=300)


@QUICK
@given(*drawn)
def test_a_few_days_go_as_a_scheduler_decides_that_looks_at_every_minute(
    check, zone, day, triggers, happenings
) -> None:
    check(zone, day, triggers, happenings)


@pytest.mark.slow
@MANY
@given(*drawn)
def test_many_days_go_as_a_scheduler_decides_that_looks_at_every_minute(check, zone, day, triggers, happenings) -> None:
    check(zone, day, triggers, happenings)
