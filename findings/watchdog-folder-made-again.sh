#!/usr/bin/env bash
#
# What surprises: in watchdog 7.1.0 (Linux, inotify), if a watched folder is
# deleted and made again under the same name, nothing in the new one is ever
# seen, and nothing says so: no exception, no log line, the observer's
# is_alive() stays True. The one sign is that the thread in `observer.emitters`
# has ended. Watching the same path again with schedule() adds nothing, since
# the observer takes it for one that it still watches: unschedule() first.
#
# Whom it concerns: programs that watch a folder which others replace as a
# whole: an export that removes its old folder, `git checkout`, a volume that
# is mounted anew.
#
# Expected: that the observer watches the path again once it exists, or at
# least that it tells its handler, or that is_alive() becomes False.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check watchdog==7.1.0

"$tmp/venv/bin/python" - "$tmp" <<'PY'
import logging
import platform
import shutil
import sys
import time
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.version import VERSION_STRING

logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
print(f"Python {platform.python_version()}, watchdog {VERSION_STRING}, Linux inotify")

folder = Path(sys.argv[1]) / "watched"
seen = []


class Handler(FileSystemEventHandler):
    def on_created(self, event):
        if not event.is_directory:
            seen.append(Path(event.src_path).name)


def write(name):
    (folder / name).write_text("x\n")
    time.sleep(1)


folder.mkdir()
observer = Observer()
handler = Handler()
watch = observer.schedule(handler, str(folder))
observer.start()
write("before")
shutil.rmtree(folder)
time.sleep(1)
folder.mkdir()
write("after")
alive = observer.is_alive(), [one.is_alive() for one in observer.emitters]
print(f"  seen: {seen}; the observer is alive: {alive[0]}, its emitters: {alive[1]}")
if seen != ["before"] or alive != (True, [False]):
    sys.exit("CHANGED: the folder that was made again is seen, or its loss is told")

observer.schedule(handler, str(folder))
write("scheduled again")
print(f"  after schedule() of the same path: {seen}")
if seen != ["before"]:
    sys.exit("CHANGED: schedule() alone is enough")

observer.unschedule(watch)
observer.schedule(handler, str(folder))
write("unscheduled first")
print(f"  after unschedule() and schedule(): {seen}")
if seen != ["before", "unscheduled first"]:
    sys.exit("CHANGED: unschedule() and schedule() are not enough")
observer.stop()
observer.join()
PY
