#!/usr/bin/env bash
#
# What surprises: an observer that watches a folder with its subfolders warns
# (RuntimeWarning, "Callback with id … already exists") about new folders that
# programs make within new folders, as any write of partitioned data does:
# watchdog has found the inner folder by itself before its event came, and adds
# it a second time. Nothing is wrong or lost. The text of the warning, which
# wants to name one folder, has those of all watched folders three times and more
# (a method is formatted, not its result), so each text is another one: Python
# shows all of them, each longer than the one before, and keeps them in memory.
#
# Whom it concerns: programs that watch growing folders, and test suites with
# warnings as errors: the thread that reads the events ends there, the observer
# says that it is alive and has no more events.
#
# Expected: no warning, or one short text.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check watchdog==7.1.0

"$tmp/venv/bin/python" - "$tmp" <<'PY'
import sys
import time
import warnings
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.version import VERSION_STRING

folder = Path(sys.argv[1], "data")
folder.mkdir()
lengths = []
warnings.showwarning = lambda message, *_: lengths.append(len(str(message)))

observer = Observer()
observer.schedule(FileSystemEventHandler(), str(folder), recursive=True)
observer.start()
number, end = 0, time.monotonic() + 60  # it depends on when the observer's thread gets its turn
while number < 200 or (not lengths and time.monotonic() < end):
    (folder / f"year={number}" / "month=1" / "day=1" / "hour=1" / "part=1").mkdir(parents=True)
    time.sleep(0.002)
    number += 1
time.sleep(1)
observer.stop()
observer.join()

print(f"watchdog {VERSION_STRING}: {5 * number:,} new folders below a watched one, {len(lengths)} warnings")
if not lengths or max(lengths) < 20_000:
    sys.exit("CHANGED: no warnings, or short ones")
print(f"  the longest has {max(lengths):,} characters, all together {sum(lengths):,}")
PY
