#!/usr/bin/env bash
#
# What surprises: three widely used Python libraries read the same line of a
# crontab, in the same time zone, and run the job a different number of times
# in the two nights in which clocks are changed. In Berlin, in 2026:
#
#   "30 2 * * *"    October: cronsim 2.8 once, croniter 7.0.0 and APScheduler
#                   3.11.3 twice. March: the first two at 03:00 summer time,
#                   APScheduler at 03:30, and it names a time, 02:30+01:00,
#                   that the clocks of that night do not show.
#   "0 2,3 * * *"   October: two, three, three times.
#   "*/30 2 * * *"  March: cronsim not at all, the others once.
#
# cronsim follows Debian's cron, whose manual says that jobs of fixed hours run
# once, and those with a * in minute or hour go by the wall clock.
#
# Whom it concerns: whoever moves a schedule from one program to another, and
# whoever runs a job that must run once a night between two and three.
#
# Expected: that a crontab line means the same everywhere.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    cronsim==2.8 croniter==7.0.0 apscheduler==3.11.3 tzdata==2026.6

"$tmp/venv/bin/python" - <<'PY'
import platform
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

NAMES = ("cronsim", "croniter", "apscheduler")
print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in NAMES))

berlin = ZoneInfo("Europe/Berlin")


def ask_cronsim(expression, start):
    times = CronSim(expression, start)
    while True:
        yield next(times)


def ask_croniter(expression, start):
    times = croniter(expression, start)
    while True:
        yield times.get_next(datetime)


def ask_apscheduler(expression, start):
    trigger = CronTrigger.from_crontab(expression, timezone=berlin)
    before, now = None, start
    while True:
        before = trigger.get_next_fire_time(before, now)
        yield before
        # a moment later, computed in UTC: the wall clock is ambiguous in such a night
        now = (before.astimezone(UTC) + timedelta(microseconds=1)).astimezone(berlin)


ASK = {"cronsim": ask_cronsim, "croniter": ask_croniter, "apscheduler": ask_apscheduler}


def list_times(library, expression, night):
    """The times between one and four o'clock in a night, as the library writes them."""
    evening = datetime(*night, 0, 59, tzinfo=berlin)
    morning = datetime(*night, 4, 0, tzinfo=berlin).astimezone(UTC)
    found = []
    for time in ASK[library](expression, evening):
        if time.astimezone(UTC) >= morning:
            return found
        found.append(time.strftime("%H:%M%z"))


SEEN = {
    ("March", (2026, 3, 29), "30 2 * * *"): (["03:00+0200"], ["03:00+0200"], ["02:30+0100"]),
    ("March", (2026, 3, 29), "*/30 2 * * *"): ([], ["03:00+0200"], ["02:00+0100"]),
    ("October", (2026, 10, 25), "30 2 * * *"): (
        ["02:30+0200"],
        ["02:30+0200", "02:30+0100"],
        ["02:30+0200", "02:30+0100"],
    ),
    ("October", (2026, 10, 25), "0 2,3 * * *"): (
        ["02:00+0200", "03:00+0100"],
        ["02:00+0200", "02:00+0100", "03:00+0100"],
        ["02:00+0200", "02:00+0100", "03:00+0100"],
    ),
}
changed = False
for (month, night, expression), expected in SEEN.items():
    for library, times in zip(NAMES, expected, strict=True):
        found = list_times(library, expression, night)
        print(f"{month:8} {expression:13} {library:12} {', '.join(found) or 'never'}")
        if found != times:
            changed = True
            print(f"CHANGED: {library} has had {', '.join(times) or 'never'}")
sys.exit(changed)
PY
