"""What a server sends by itself, to real servers that refuse, hang, break off, cannot prove who they are, come back."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SpecError, StoreError
from engine.notifications import deliver_messages
from engine.notifications.attempt import claim_seconds
from engine.notifications.channels import SENDING_SECONDS, limit_sending
from engine.service.deliveries.channel_turn import DeliveryEvent
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.spec import ProjectSpec, Secrets, load
from engine.store import LONGEST_DELAY, ChannelState, OutboxMessage, Store

PATIENCE = 20.0
"""Seconds that something may take on a busy machine."""


class Clock:
    """A clock that is ahead of the real one by as much as the test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class ScriptedServer:
    """A mail server that does what `faults` says at a stage, in the first connections only, and else takes mail.

    A fault is ("hang" | "drop" | an answer). The stages are greeting, EHLO, MAIL, RCPT, DATA and body. A server that
    drops at the stage taken has taken the mail, but does not say so.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []
        self.mails: list[str] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._open: list[socket.socket] = []
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                self.connections += 1
                fault = self.faults.pop(0) if self.faults else ("", "")
                threading.Thread(target=self._talk, args=(connection, *fault), daemon=True).start()

    def _talk(self, connection: socket.socket, stage: str, fault: str) -> None:
        def answer(at: str, text: str) -> bool:
            """Say the text, or do what is wrong at this stage; return whether to go on."""
            if at != stage:
                lines.write(f"{text}\r\n")
                lines.flush()
            elif fault == "hang":
                time.sleep(30)
            elif fault == "drop":
                return False
            else:
                lines.write(f"{fault}\r\n")
                lines.flush()
            return True

        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rw", newline="") as lines:
            on = answer("greeting", "220 ready")
            while on and (line := lines.readline()):
                verb = line[:4].upper()
                if verb == "DATA":
                    on = answer("DATA", "354 go on")
                    if not on or stage == "DATA":
                        continue
                    body = ""
                    while (line := lines.readline()) not in (".\r\n", ""):
                        body += line
                    if stage != "body":
                        self.mails.append(body)
                    on = answer("taken" if stage == "taken" else "body", "250 taken")
                elif verb == "QUIT":
                    on = False
                else:
                    on = answer(verb, "250 OK")

    def subjects(self) -> list[str]:
        return [str(message_from_string(mail)["Subject"]) for mail in self.mails]

    def ids(self) -> list[str]:
        return [str(message_from_string(mail)["Message-ID"]) for mail in self.mails]

    def close(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def start_server() -> Iterator[Callable[[], ScriptedServer]]:
    running: list[ScriptedServer] = []

    def start() -> ScriptedServer:
        running.append(ScriptedServer())
        return running[-1]

    yield start
    for server in running:
        server.close()


class Service:
    """A project with channels, and the loop that sends through them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.events: list[DeliveryEvent] = []
        self.store = Store.open(folder / "state", now=self.clock)
        self.count = 0
        self.loop: DeliveryLoop | None = None

    def declare(self, **channels: str) -> ProjectSpec:
        """Write the spec with these channels, and load it."""
        lines = [f"  {name}: {channel}" for name, channel in channels.items()]
        path = self.folder / "p.yaml"
        path.write_text("\n".join(["version: 1", "project: p", "channels:", *lines]) + "\n", encoding="utf-8")
        return load(path, environ={})

    def queue(self, channel: str, subject: str = "") -> str:
        self.count += 1
        message = OutboxMessage(
            id=f"m{self.count}",
            run=None,
            reporter=f"r{self.count}",
            channel=channel,
            to=("a@example.com",),
            subject=subject or f"m{self.count}",
            text="text",
            created=self.clock(),
        )
        self.store.outbox.add(message)
        return message.id

    def start(self, project: ProjectSpec, environ: dict[str, str] | None = None) -> DeliveryLoop:
        self.loop = DeliveryLoop(
            self.folder / "state", project, environ or {}, tell=self.events.append, clock=self.clock
        )
        self.loop.start()
        return self.loop

    def forward(self, **by: float) -> None:
        self.clock.ahead += timedelta(**by)
        if self.loop:
            self.loop.wake()

    def wait(self, until: Callable[[], Any], seconds: float = PATIENCE) -> None:
        ends = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < ends, (self.events, self.waiting(), self.delays())
            time.sleep(0.02)

    def waiting(self) -> dict[str, int]:
        return {each.channel: each.waiting for each in self.store.outbox.summarize_undelivered()}

    def delays(self) -> dict[str, ChannelState]:
        return self.store.channel_states.list_all()

    def states(self, channel: str = "") -> list[str]:
        return [event.state for event in self.events if channel in ("", event.channel)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    if service.loop:
        service.loop.stop(3)
    service.store.close()


def mail(port: int, timeout: float = 0.5, tls: str = "none") -> str:
    return f"{{kind: mail, url: 'smtp://127.0.0.1:{port}?tls={tls}', from: e@example.com, timeout: {timeout}}}"


@pytest.mark.parametrize("optional", [False, True])
def test_a_secret_that_is_absent_is_told_once_and_what_waits_is_sent_soon_after_it_is_there(
    service, start_server, optional
):
    server, environ = start_server(), {}
    (service.folder / "p.yaml").write_text(
        f"version: 1\nproject: p\nsecrets: {{smtp: {{env: SMTP_URL, optional: {str(optional).lower()}}}}}\nchannels:\n"
        "  post: {kind: mail, url: '${secret.smtp}', from: e@example.com, timeout: 5}\n",
    )
    project = load(service.folder / "p.yaml", environ={})
    for _ in range(3):
        service.queue("post")
    claim = service.store.outbox.claim("m1", timedelta(minutes=1))
    service.store.outbox.mark_failed(claim, "an earlier try", service.clock())
    loop = service.start(project, environ)
    service.wait(lambda: service.states() == ["PENDING", "DOWN"])
    assert "smtp" in service.events[0].text
    for _ in range(5):
        before = service.delays()["post"].next_try
        service.forward(seconds=61)
        service.wait(lambda before=before: service.delays()["post"].next_try > before)
    assert service.states() == ["PENDING", "DOWN"]
    assert service.store.outbox.find("m1").tries == 2
    assert "smtp" in service.store.outbox.find("m3").last_error
    loop.stop(3)
    environ["SMTP_URL"] = f"smtp://127.0.0.1:{server.port}"
    service.start(project, environ)  # a restart does not lengthen the wait
    service.forward(seconds=61)
    service.wait(lambda: len(server.mails) == 3)
    assert server.subjects() == ["m1", "m2", "m3"]
    service.wait(lambda: "UP" in service.states())


def test_each_channel_gets_its_messages_in_order_as_soon_as_they_are_committed(service, start_server):
    one, two = start_server(), start_server()
    loop = service.start(service.declare(one=mail(one.port), two=mail(two.port)))
    for _ in range(10):
        service.queue("one")
        service.queue("two")
        loop.wake()
    service.wait(lambda: len(one.mails) == len(two.mails) == 10)
    assert one.subjects() == [f"m{number}" for number in range(1, 21, 2)]
    assert two.subjects() == [f"m{number}" for number in range(2, 21, 2)]
    service.queue("one")  # nobody says so: another process has committed it
    service.wait(lambda: len(one.mails) == 11, 5)
    service.wait(lambda: service.states("one") == ["SENT"] * 11)


STAGES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "body")


@pytest.mark.parametrize("stage", [*STAGES, "taken"])
@pytest.mark.parametrize("fault", ["hang", "drop"])
def test_a_server_that_hangs_or_breaks_off_gets_everything_in_order_when_it_is_back(
    service, start_server, stage, fault
):
    server = start_server()
    server.faults = [(stage, fault)]
    ids = [service.queue("post") for _ in range(3)]
    service.start(service.declare(post=mail(server.port)))
    service.wait(lambda: "DOWN" in service.states())
    assert service.delays()["post"].failures == 1
    connections = server.connections
    time.sleep(0.3)
    assert server.connections == connections  # nothing is tried before it is due
    service.forward(seconds=61)
    service.wait(lambda: not service.waiting())
    expected = [f"<{id_}@example.com>" for id_ in ids]
    # a mail that was taken, which the server did not say, comes again with the same id
    assert server.ids() == ([expected[0], *expected] if stage == "taken" else expected)
    assert "UP" in service.states()


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "body"])
def test_a_mail_that_is_refused_for_now_comes_later_and_keeps_none_waiting(service, start_server, stage):
    server = start_server()
    server.faults = [(stage, "451 4.7.1 not now")]
    service.queue("post")
    service.queue("post")
    service.start(service.declare(post=mail(server.port)))
    service.wait(lambda: server.subjects() == ["m2"])
    service.forward(seconds=61)
    service.wait(lambda: server.subjects() == ["m2", "m1"])
    assert "DOWN" not in service.states()


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "body"])
def test_a_mail_that_is_refused_for_good_is_not_tried_again_and_keeps_none_waiting(service, start_server, stage):
    server = start_server()
    server.faults = [(stage, "550 5.7.1 never")]
    service.queue("post")
    service.queue("post")
    service.start(service.declare(post=mail(server.port)))
    service.wait(lambda: service.states() == ["REFUSED", "SENT"])
    assert server.subjects() == ["m2"]
    service.forward(hours=2)
    time.sleep(0.3)
    assert server.connections == 2
    [refused] = service.store.outbox.list_refused()
    assert "550 5.7.1 never" in refused.last_error


def test_servers_that_hang_keep_no_other_channel_waiting(service, start_server):
    fine = start_server()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=50)) for _ in range(6)]
        channels = {f"silent{number}": mail(each.getsockname()[1], 1) for number, each in enumerate(silent)}
        for name in channels:
            for _ in range(3):
                service.queue(name)
        service.start(service.declare(**channels, zebra=mail(fine.port)))
        began = time.monotonic()
        service.queue("zebra")
        service.wait(lambda: fine.mails)
        assert time.monotonic() - began < 6
        service.wait(lambda: service.states().count("DOWN") == 6)
        fine.mails.clear()
        began = time.monotonic()
        service.queue("zebra")
        service.loop.wake()
        service.wait(lambda: fine.mails)
        assert time.monotonic() - began < 2


def test_a_server_that_cannot_prove_who_it_is_gets_nothing_until_the_spec_trusts_it(service, servers, certificates):
    inbox = servers.start(tls="implicit")
    plain = servers.start()
    service.queue("post")
    service.queue("naked")
    naked = f"{{kind: mail, url: 'smtp://localhost:{plain.port}?tls=starttls', from: e@example.com}}"
    url = f"smtps://localhost:{inbox.port}"
    loop = service.start(
        service.declare(post=f"{{kind: mail, url: '{url}', from: e@example.com, timeout: 5}}", naked=naked)
    )
    service.wait(lambda: service.states().count("DOWN") == 2)
    assert "certificate verify failed" in service.delays()["post"].last_error
    assert "STARTTLS" in service.delays()["naked"].last_error
    assert inbox.mails == plain.mails == []
    trusting = f"{{kind: mail, url: '{url}?ca={certificates.ca}', from: e@example.com, timeout: 5}}"
    loop.replace_project(service.declare(post=trusting, naked=naked))  # it is tried at once
    service.wait(lambda: len(inbox.mails) == 1)
    assert plain.mails == []


def test_a_bug_in_one_channel_or_message_stops_nothing_else(service, start_server):
    server = start_server()
    service.queue("broken")
    service.queue("post")
    service.start(
        service.declare(
            broken="{kind: mail, url: 'smtp://127.0.0.1:1?ca=%00&tls=starttls', from: e@example.com}",
            post=mail(server.port),
        )
    )
    service.wait(lambda: server.mails and "PENDING" in service.states("broken"))
    [event] = [event for event in service.events if event.channel == "broken"]
    assert event.text.startswith("internal error: ValueError")


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_a_server_that_answers_a_byte_at_a_time_is_cut_off_and_holds_no_thread(service, kind):
    ended = threading.Event()

    def drip() -> None:
        connection, _ = slow.accept()
        with connection:
            if kind == "webhook":
                connection.recv(100_000)
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b"2" if kind == "mail" else b"HTTP/1.1 200 OK\r\nX-A: b\r\n"[:1])
                    time.sleep(0.1)
        ended.set()

    with socket.create_server(("127.0.0.1", 0)) as slow:
        threading.Thread(target=drip, daemon=True).start()
        port = slow.getsockname()[1]
        webhook = f"{{kind: webhook, url: 'http://127.0.0.1:{port}/', timeout: 1}}"
        service.queue("post")
        service.start(service.declare(post=mail(port) if kind == "mail" else webhook))
        service.wait(lambda: "DOWN" in service.states())
        assert "it was not delivered in 2 s" in service.delays()["post"].last_error
        assert ended.wait(PATIENCE)
        service.wait(lambda: not any(thread.name == "sending" for thread in threading.enumerate()))


@pytest.mark.slow
def test_a_channel_whose_sending_cannot_be_stopped_is_not_used_again_before_it_has_ended(service):
    lock = service.folder / ".rows.csv.lock"
    lock.touch()
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        service.queue("rows")
        service.queue("rows")
        service.start(service.declare(rows="{kind: dataset, path: rows.csv}"))
        service.wait(lambda: "DOWN" in service.states(), SENDING_SECONDS + PATIENCE)
        for _ in range(5):
            service.forward(hours=1)
            time.sleep(0.2)
        assert [thread.name for thread in threading.enumerate()].count("sending") == 1
        assert service.states() == ["PENDING", "DOWN"]
    service.wait(lambda: service.states().count("SENT") == 2)
    rows = (service.folder / "rows.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in rows[1:]] == ['"m1"', '"m2"']


def test_a_run_by_hand_and_the_server_never_send_the_same_message(service, start_server):
    server = start_server()
    project = service.declare(post=mail(server.port, 5))
    for _ in range(30):
        service.queue("post")
    service.start(project)
    with Store.open(service.folder / "state", now=service.clock) as store:
        deliver_messages(store, project, Secrets(project, {}), "run later")
    service.wait(lambda: len(server.mails) == 30)
    assert sorted(server.subjects()) == sorted(f"m{number}" for number in range(1, 31))


def test_what_a_run_by_hand_sends_tells_the_server_that_the_channel_works(service, start_server):
    server = start_server()
    server.faults = [("greeting", "drop")]
    project = service.declare(post=mail(server.port, 5))
    service.queue("post")
    service.start(project)
    service.wait(lambda: "DOWN" in service.states())
    waiting = service.store.outbox.list_undelivered()
    service.queue("post")
    deliver_messages(service.store, project, Secrets(project, {}), "run later", messages=waiting)
    service.wait(lambda: server.subjects() == ["m1", "m2"], 6)


def test_what_a_run_by_hand_could_not_send_is_not_delayed_for_the_server(service, start_server):
    server = start_server()
    server.faults = [("greeting", "drop")]
    project = service.declare(post=mail(server.port, 5))
    service.queue("post")
    deliver_messages(service.store, project, Secrets(project, {}), "run later")
    assert server.mails == []
    service.start(project)
    service.wait(lambda: server.subjects() == ["m1"], 5)


def test_a_claim_lasts_longer_than_any_sending_may_take(service):
    channels = {
        "post": mail(1, 120),
        "hook": "{kind: webhook, url: 'http://127.0.0.1:1/', timeout: 120}",
        "program": "{kind: command, argv: [cat], timeout: 120}",
        "chat": "{kind: apprise, url: 'json://127.0.0.1:1/'}",
        "box": "{kind: file, path: box}",
        "rows": "{kind: dataset, path: rows.csv}",
    }
    for channel in service.declare(**channels).channels.values():
        assert timedelta(minutes=1) < claim_seconds(channel) - timedelta(seconds=limit_sending(channel))
        assert (
            claim_seconds(channel) < LONGEST_DELAY
        )  # a longer one would count as one of before the clock was set back
    with pytest.raises(SpecError, match="timeout"):
        service.declare(post=mail(1, 600))


def test_a_person_who_asks_for_a_new_try_makes_the_server_send_within_seconds(tmp_path, start_server):
    """The person's own try fails, because the secret is only in the environment of the server."""
    server = start_server()
    server.faults = [("greeting", "drop")]
    spec = tmp_path / "p.yaml"
    spec.write_text(
        "version: 1\nproject: p\nsecrets: {smtp: {env: SMTP_URL}}\nchannels:\n"
        "  post: {kind: mail, url: '${secret.smtp}', from: e@example.com, timeout: 5}\n",
        encoding="utf-8",
    )
    service = Service(tmp_path)
    service.store.close()
    state = tmp_path / ".engine" / "p"
    service.store = Store.open(state)
    service.queue("post")
    environ = {"SMTP_URL": f"smtp://127.0.0.1:{server.port}?tls=none"}
    loop = DeliveryLoop(state, load(spec, environ={}), environ, tell=service.events.append)
    loop.start()
    service.wait(lambda: "DOWN" in service.states())
    asked = subprocess.run(
        [Path(sys.executable).with_name("engine"), "outbox", "retry", spec],
        env={name: value for name, value in os.environ.items() if name != "SMTP_URL"},
        capture_output=True,
        text=True,
        check=False,
    )
    service.wait(lambda: server.subjects() == ["m1"], 6)
    assert asked.returncode == 4, asked.stdout + asked.stderr
    loop.stop(3)
    service.store.close()


SENDER = """
import sys, time
from pathlib import Path
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.spec import load

folder = Path(sys.argv[1])
loop = DeliveryLoop(folder / "state", load(folder / "p.yaml", environ={}), {}, tell=lambda event: None)
loop.start()
time.sleep(60)
"""


def test_what_a_killed_server_was_sending_is_sent_by_the_next_one_when_its_claim_has_expired(service, start_server):
    server = start_server()
    server.faults = [("body", "hang")]
    project = service.declare(post=mail(server.port, 20))
    service.queue("post")
    service.queue("post")
    with subprocess.Popen([sys.executable, "-c", SENDER, service.folder]) as killed:
        service.wait(lambda: server.connections == 1)
        time.sleep(0.3)
        killed.send_signal(signal.SIGKILL)
    service.start(project)
    service.wait(lambda: server.subjects() == ["m2"])
    time.sleep(0.5)
    assert server.subjects() == ["m2"]
    service.forward(seconds=4 * 20 + 63)  # as long as a mail may take, and a minute
    service.wait(lambda: server.subjects() == ["m2", "m1"])
    assert server.ids()[-1] == "<m1@example.com>"


def test_a_stop_sends_what_is_due_and_does_not_wait_for_a_server_that_hangs(service, start_server):
    fine = start_server()
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        loop = service.start(service.declare(post=mail(fine.port), silent=mail(silent.getsockname()[1], 20)))
        service.queue("silent")
        loop.wake()
        time.sleep(0.3)
        for _ in range(5):
            service.queue("post")
        began = time.monotonic()
        loop.stop(1.5)
        assert time.monotonic() - began < 3
        assert len(fine.mails) == 5


@pytest.mark.slow
def test_a_state_that_cannot_be_written_for_a_while_is_told_and_ends_nothing(service, start_server):
    server = start_server()
    service.queue("post")
    with service.store.database.begin_write():  # the patience of a connection is 10 s
        service.start(service.declare(post=mail(server.port)))
        service.wait(lambda: "FAULT" in service.states(), 30)
    service.wait(lambda: server.subjects() == ["m1"], 30)
    with pytest.raises(StoreError):
        Store.open(service.folder / "p.yaml")


@pytest.mark.slow
def test_a_channel_whose_thread_could_not_be_started_is_told_and_sent_through_later(service, start_server):
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
loop = DeliveryLoop(folder / "state", load(folder / "p.yaml", environ={}), {}, tell=lambda event: None,
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
loop = DeliveryLoop(folder / "state", load(folder / "p.yaml", environ={}), {}, tell=events.append)
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
