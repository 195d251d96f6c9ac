#!/usr/bin/env bash
#
# What surprises: polars 2.1.0 closes a file that it writes twice. When the first
# close is told, the file is empty or holds a part of its rows; at the second it
# is whole. write_* and sink_* do so alike, in all four formats. What pandas and
# pyarrow write is whole at every close.
#
# Whom it concerns: anyone who waits for "the file was closed after writing"
# (inotify's IN_CLOSE_WRITE, watchdog's FileClosedEvent, incron, a systemd path
# unit) as the sign that a file can be read. The cut CSV and NDJSON files are
# valid, so a reader that starts at the first close finds no error: just no
# rows.
#
# Expected: no close before the end, as with the other writers.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    polars==2.1.0 pandas==3.0.4 pyarrow==25.0.1 watchdog==7.1.0

"$tmp/venv/bin/python" - "$tmp" <<'PY'
import os
import platform
import sys
import time
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

print(f"Python {platform.python_version()}, polars {pl.__version__}, "
      f"pandas {pd.__version__}, Linux inotify")

folder = Path(sys.argv[1]) / "watched"
folder.mkdir()
closes = []  # name and size of each file when its close was told


class Closed(FileSystemEventHandler):
    def on_closed(self, event):
        closes.append((Path(event.src_path).name, os.path.getsize(event.src_path)))


observer = Observer()
observer.schedule(Closed(), str(folder))
observer.start()

frame = pl.DataFrame({"x": range(2_000_000)})
few = frame.head(1000).to_pandas()
cases = [
    ("polars.write_parquet", "a.parquet", True, frame.write_parquet),
    ("polars.sink_parquet", "b.parquet", True, frame.lazy().sink_parquet),
    ("polars.write_csv", "c.csv", True, frame.write_csv),
    ("polars.write_ndjson", "d.ndjson", True, frame.write_ndjson),
    ("polars.write_ipc", "e.arrow", True, frame.write_ipc),
    ("pandas.to_parquet", "f.parquet", False, few.to_parquet),
    ("pandas.to_csv", "g.csv", False, few.to_csv),
    ("pyarrow.write_table", "h.parquet", False,
     lambda path: pq.write_table(frame.to_arrow(), path)),
]
for name, file, twice, write in cases:
    write(folder / file)
    time.sleep(1.5)
    whole = (folder / file).stat().st_size
    sizes = [size for one, size in closes if one == file]
    print(f"  {name}: {len(sizes)} closes, at {sizes} bytes of {whole}")
    early = [size for size in sizes if size < whole]
    if sizes[-1:] != [whole] or bool(early) != twice:
        sys.exit(f"CHANGED: {name} closed its file at {sizes} bytes of {whole}")
observer.stop()
observer.join()
PY
