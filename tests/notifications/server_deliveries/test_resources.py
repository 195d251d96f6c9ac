"""A server that sends while its state, its threads or its memory are short."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.service.deliveries import delivery_loop
from engine.store import Store

from .delivering_server import mail


@pytest.mark.slow
def test_a_state_that_cannot_be_written_for_a_while_is_reported_and_ends_nothing(service, start_server, monkeypatch):
    monkeypatch.setattr(delivery_loop, "FAULT_SECONDS", 0.5)
    server = start_server()
    service.queue("post")
    with service.store.database.begin_write():  # the patience of a connection is 10 s
        service.start(service.declare(post=mail(server.port)))
        service.wait(lambda: "FAULT" in service.states(), 30)
    service.wait(lambda: server.subjects() == ["m1"], 30)
    with pytest.raises(StoreError):
        Store.open(service.folder / "p.yaml")


@pytest.mark.slow
def test_a_channel_whose_thread_could_not_be_started_is_reported_and_sent_later(service, start_server, monkeypatch):
    monkeypatch.setattr(delivery_loop, "FAULT_SECONDS", 0.5)
    server = start_server()
    loop = service.start(service.declare(post=mail(server.port)))
    threading.stack_size(1 << 46)  # the system has no room for such a thread
    try:
        service.queue("post")
        loop.wake()
        service.wait(lambda: "FAULT" in service.states(), 10)
    finally:
        threading.stack_size(0)
    service.wait(lambda: server.subjects() == ["m1"], 30)


@pytest.mark.slow
def test_messages_with_large_attachments_that_wait_cost_no_memory(tmp_path):
    assert measure_growth(tmp_path, messages=300) < 25


MEASURED = """
import gc, socket, sys, time
from datetime import timedelta
from pathlib import Path
from sqlalchemy import text
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.spec import load
from engine.service.deliveries import delivery_loop
from engine.store import LONGEST_DELAY, OutboxMessage, Store, utc_now

folder, count = Path(sys.argv[1]), int(sys.argv[2])
store = Store.open(folder / "state")
rows = [
    OutboxMessage(id=f"m{n}", run=None, reporter=f"r{n}", channel="post", to=("a@example.com",), subject="s",
                  text="t" * 2000, created=utc_now())
    for n in range(count)
]
with store.database.begin_write() as connection:
    from engine.store.outbox import insert_messages
    insert_messages(connection, rows)
    connection.execute(text(
        "INSERT INTO attachments (message, place, name, media_type, content) "
        "SELECT number, 0, 'a.csv', 'text/csv', randomblob(1000000) FROM outbox"))
del rows
store.close()

def resident():
    gc.collect()
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line).split()[1])

ahead = timedelta()
loop = DeliveryLoop(folder / "state", load(folder / "p.yaml", environ={}), {}, report=lambda event: None,
                    clock=lambda: utc_now() + ahead)
loop.start()
time.sleep(1)
before = resident()
for _ in range(20):
    ahead += timedelta(hours=1)
    loop.wake()
    time.sleep(0.3)
(waiting,) = store.outbox.summarize_undelivered()
(delay,) = store.channel_states.list_all().values()
assert waiting.waiting == count and delay.failures >= 10, (waiting, delay)
print((resident() - before) / 1024)
loop.stop(1)
"""


def measure_growth(folder: Path, messages: int) -> float:
    """Return by how many MB the memory of a server grows while a channel with so many messages of 1 MB is down."""
    (folder / "p.yaml").write_text(
        "version: 1\nproject: p\nchannels: {post: {kind: mail, url: 'smtp://127.0.0.1:1', from: e@example.com}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, folder, str(messages)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


SMALL = """
import sys, time
from pathlib import Path
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.service.deliveries.heartbeat import Heartbeat
from engine.spec import load

folder, events = Path(sys.argv[1]), []
loop = DeliveryLoop(folder / "state", load(folder / "p.yaml", environ={}), {}, report=events.append)
loop.start()
while len(events) < 6:
    time.sleep(0.1)
print(*sys.modules.keys() & {"polars", "numpy", "numba", "sklearn", "jinja2", "apprise"})
loop.stop(1)
"""


def test_a_server_that_sends_through_every_kind_of_channel_loads_no_data_library(service, start_server, webhook):
    service.declare(
        post=mail(start_server().port),
        box="{kind: file, path: box}",
        rows="{kind: dataset, path: rows.csv}",
        lines="{kind: dataset, path: rows.ndjson}",
        hook=f"{{kind: webhook, url: 'http://127.0.0.1:{webhook.port}/'}}",
        program="{kind: command, argv: [cat]}",
    )
    for channel in ("post", "box", "rows", "lines", "hook", "program"):
        service.queue(channel)
    done = subprocess.run(
        [sys.executable, "-c", SMALL, service.folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert service.store.outbox.list_unsent() == []
