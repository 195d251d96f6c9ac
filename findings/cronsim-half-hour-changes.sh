#!/usr/bin/env bash
#
# What surprises: cronsim 2.8 follows Debian's cron in the nights in which
# clocks are changed by an hour, but loses times where they are changed by
# half an hour, or at another minute than a full hour. On Lord Howe Island,
# 5 April 2026, clocks go back from 02:00 to 01:30; the hour from 02:00 to
# 03:00 comes once and whole, yet of "*/20 2 * * *" only 02:40 is found. In the
# Chatham Islands, 27 September 2026, they go forward from 02:45 to 03:45; of
# "*/15 3 * * *" the existing 03:45 is not found. And in Havana, 8 March 2026,
# where they go forward at midnight, "*/30 0 8 3 *" gives 00:00 of the old
# offset, which no clock there shows.
#
# Whom it concerns: schedulers with users in such zones. A way out is to ask
# cronsim for naive times, and to find the instants of the zone by oneself.
#
# Expected: each time that the wall clock shows in that hour, once.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check cronsim==2.8 tzdata==2026.6

"$tmp/venv/bin/python" - <<'PY'
import platform
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

from cronsim import CronSim

print(f"Python {platform.python_version()}, cronsim {version('cronsim')}, tzdata {version('tzdata')}")


def list_found(expression, zone, day):
    """What cronsim finds on a day, with offsets."""
    times = CronSim(expression, datetime(*day, tzinfo=zone) - timedelta(minutes=1))
    found = []
    while (time := next(times)).date() <= datetime(*day).date():
        found.append(time.strftime("%H:%M%z"))
    return found


def list_shown(zone, day, hour, minutes):
    """The times of an hour that the wall clock of a zone really shows on a day: minute by minute, in UTC."""
    moment = datetime(*day, tzinfo=zone).astimezone(UTC) - timedelta(hours=2)
    found = []
    for _ in range(28 * 60):
        wall = moment.astimezone(zone)
        if wall.date() == datetime(*day).date() and wall.hour == hour and wall.minute in minutes:
            found.append(wall.strftime("%H:%M%z"))
        moment += timedelta(minutes=1)
    return found


SEEN = [
    ("*/20 2 * * *", "Australia/Lord_Howe", (2026, 4, 5), 2, (0, 20, 40), ["02:40+1030"]),
    ("*/15 3 * * *", "Pacific/Chatham", (2026, 9, 27), 3, (0, 15, 30, 45), []),
    ("*/30 0 8 3 *", "America/Havana", (2026, 3, 8), 0, (0, 30), ["00:00-0500"]),
]
changed = False
for expression, name, day, hour, minutes, expected in SEEN:
    zone = ZoneInfo(name)
    found, shown = list_found(expression, zone, day), list_shown(zone, day, hour, minutes)
    print(f"{name} {expression}: found {', '.join(found) or 'nothing'}; the clock shows {', '.join(shown) or 'none'}")
    if found != expected or found == shown:
        changed = True
        print(f"CHANGED: cronsim has found {', '.join(expected) or 'nothing'}")
sys.exit(changed)
PY
