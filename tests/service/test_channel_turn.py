"""Turns of a channel against a real server that breaks off, under a clock that the test sets."""

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.service.deliveries.channel_turn import ChannelTurn, DeliveryEvent, find_moment
from engine.spec import ProjectSpec, Secrets, load
from engine.store import MessageState, OutboxMessage, Store

MINUTE = timedelta(minutes=1)


class Receiver(http.server.ThreadingHTTPServer):
    """Takes messages; breaks the connection at those whose subject begins with poison, and at all if it is down."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tried: list[str] = []
        self.taken: list[str] = []
        self.down = False
        self.busy: set[str] = set()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tried.append(message["id"])
        if self.server.down or message["subject"] == "poison":
            return  # the connection is closed without an answer
        if message["subject"] == "refused":
            self.send_response(400)
        elif message["id"] in self.server.busy:
            self.server.busy.discard(message["id"])
            self.send_response(503)
        else:
            self.server.taken.append(message["id"])
            self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Post:
    """One channel with its store, its clock and its turns."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        spec = folder / "p.yaml"
        channel = f"{{kind: webhook, url: 'http://127.0.0.1:{receiver.server_port}/x', timeout: 5}}"
        spec.write_text(f"version: 1\nproject: p\nchannels:\n  hook: {channel}\n", encoding="utf-8")
        self.project: ProjectSpec = load(spec, environ={})
        self.now = datetime(2026, 11, 23, 1, 38, tzinfo=UTC)
        self.folder, self.receiver = folder, receiver
        receiver.tried, receiver.taken, receiver.down, receiver.busy = [], [], False, set()
        self.events: list[DeliveryEvent] = []
        self.count = 0
        self.store = self._open()

    def _open(self) -> Store:
        return Store.open(self.folder / "state", now=lambda: self.now)

    def restart(self) -> None:
        self.store.close()
        self.store = self._open()

    def add(self, subject: str) -> str:
        self.count += 1
        # every message has a reporter of its own, so that none is joined into another
        message = OutboxMessage(
            id=f"m{self.count}",
            run=None,
            reporter=f"r{self.count}",
            channel="hook",
            to=(),
            subject=subject,
            text="text",
            created=self.now,
        )
        self.store.outbox.add(message)
        return message.id

    def wait_for(self) -> datetime | None:
        """Return when the channel has its next turn; None if nothing waits."""
        state = self.store.channel_states.list_all().get("hook")
        moments = [
            find_moment(each.due, state, self.now)
            for each in self.store.outbox.summarize_undelivered()
            if each.due is not None
        ]
        return moments[0] if moments else None

    def take_turn(self) -> list[str]:
        """Take a turn if one is due; return the messages that were tried."""
        before = len(self.receiver.tried)
        moment = self.wait_for()
        if moment is not None and moment <= self.now:
            turn = ChannelTurn("hook", self.store, self.project, Secrets(self.project, {}), self.events.append)
            assert turn.take(lambda: False) is None
        return self.receiver.tried[before:]

    def state_of(self, message: str) -> MessageState:
        waiting = {one.id: one for one in self.store.outbox.list_unsent()}
        return waiting[message].state if message in waiting else MessageState.SENT


@pytest.fixture
def post(tmp_path: Path, receiver: Receiver) -> Iterator[Post]:
    post = Post(tmp_path, receiver)
    yield post
    post.store.close()


def test_the_delay_of_a_channel_doubles_from_a_minute_to_an_hour_whatever_waits(post: Post) -> None:
    post.receiver.down = True
    for _ in range(20):
        post.add("good")
    delays = []
    for _ in range(9):
        assert 1 <= len(post.take_turn()) <= 2
        assert post.take_turn() == []
        moment = post.wait_for()
        assert moment is not None
        delays.append((moment - post.now) / MINUTE)
        post.restart()
        post.now = moment
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    post.receiver.down = False
    assert post.take_turn() == [f"m{number}" for number in range(1, 21)]
    assert post.receiver.taken == [f"m{number}" for number in range(1, 21)]
    assert post.store.channel_states.list_all() == {}
    assert [event.state for event in post.events].count("UP") == 1


def test_the_delay_of_a_single_message_doubles_as_well(post: Post) -> None:
    post.receiver.down = True
    post.add("good")
    delays = []
    for _ in range(8):
        assert post.take_turn() == ["m1"]
        moment = post.wait_for()
        assert moment is not None
        delays.append((moment - post.now) / MINUTE)
        post.now = moment
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_message_that_breaks_the_connection_keeps_the_next_waiting_for_a_minute_and_later_ones_not_at_all(
    post: Post,
) -> None:
    post.add("poison")
    post.add("good")
    assert post.take_turn() == ["m1"]
    post.now += MINUTE
    assert post.take_turn() == ["m1", "m2"]
    assert post.receiver.taken == ["m2"]
    for _ in range(5):
        post.now += MINUTE
        later = post.add("good")
        assert post.take_turn()[-1] == later
    assert len(post.receiver.taken) == 6
    assert post.state_of("m1") is MessageState.PENDING


def test_several_messages_that_break_the_connection_do_not_keep_the_others_waiting_for_ever(post: Post) -> None:
    for _ in range(3):
        post.add("poison")
    post.add("good")
    for _ in range(1 + 2 + 4 + 1):
        post.take_turn()
        post.now += MINUTE
    assert post.receiver.taken == ["m4"]


def test_a_refused_message_and_one_that_is_delayed_keep_none_waiting(post: Post) -> None:
    post.add("refused")
    post.receiver.busy.add(post.add("good"))
    post.add("good")
    assert post.take_turn() == ["m1", "m2", "m3"]
    assert post.receiver.taken == ["m3"]
    assert [post.state_of(f"m{number}").value for number in (1, 2, 3)] == ["REFUSED", "PENDING", "SENT"]
    assert post.take_turn() == []
    post.now += MINUTE
    assert post.take_turn() == ["m2"]
    assert post.state_of("m2") is MessageState.SENT


def test_a_clock_that_is_set_back_does_not_stop_a_channel(post: Post) -> None:
    post.receiver.down = True
    post.add("good")
    post.take_turn()
    post.now -= timedelta(days=1)
    post.receiver.down = False
    assert post.take_turn() == ["m1"]
    post.receiver.busy.add(post.add("good"))
    assert post.take_turn() == ["m2"]
    assert post.take_turn() == []
    post.now -= timedelta(days=1)
    assert post.take_turn() == ["m2"]
    assert post.receiver.taken == ["m1", "m2"]


def test_a_new_message_does_not_overtake_one_that_waits_for_the_channel(post: Post) -> None:
    post.receiver.down = True
    post.add("good")
    post.take_turn()
    post.now += MINUTE
    assert post.take_turn() == ["m1"]  # its second failure may be its own fault: it waits two minutes
    post.receiver.down = False
    post.add("good")
    assert post.take_turn() == ["m1", "m2"]


def test_after_a_weekend_the_newest_messages_are_sent_and_the_oldest_of_them_tells_of_the_others(post: Post) -> None:
    post.receiver.down = True
    for number in range(96):
        message = OutboxMessage(
            id=f"m{number}", run=None, reporter="r", channel="hook", to=(), subject="s", text="t", created=post.now
        )
        post.store.outbox.add(message)
        post.take_turn()
        post.now += timedelta(minutes=30)
    post.receiver.down = False
    post.now += timedelta(minutes=30)
    post.take_turn()
    assert post.receiver.taken[-1] == "m95"
    assert len(post.receiver.taken) <= 5 + 2
    dropped = {event.message for event in post.events if event.state == "DROPPED"}
    assert dropped | set(post.receiver.taken) == {f"m{number}" for number in range(96)}


class Channel(RuleBasedStateMachine):
    """A channel whose server comes and goes, with messages of all sorts, restarts and killed senders.

    Between two turns anything may happen.
    """

    receiver: ClassVar[Receiver]

    @initialize()
    def begin(self) -> None:
        self.temporary = TemporaryDirectory()
        self.post = Post(Path(self.temporary.name), self.receiver)
        self.good: list[str] = []
        self.apart: set[str] = set()
        self.refused: list[str] = []
        self.poison: list[str] = []

    def teardown(self) -> None:
        if not hasattr(self, "post"):
            return
        self.receiver.down = False
        # an hour's delay, the longest claim, and the delays of several broken messages that are tried first
        for _ in range(60 + 12 + 2 ** (len(self.poison) + 1)):
            if {one.id for one in self.post.store.outbox.list_undelivered()} == set(self.poison):
                break
            self.post.now += MINUTE
            self.post.take_turn()
        assert sorted(self.receiver.taken) == sorted(self.good)
        assert all(self.post.state_of(one) is MessageState.REFUSED for one in self.refused)
        assert all(self.post.state_of(one) is MessageState.PENDING for one in self.poison)
        self.post.store.close()
        self.temporary.cleanup()

    @rule()
    def add_good(self) -> None:
        self.good.append(self.post.add("good"))

    @rule()
    def add_busy(self) -> None:
        message = self.post.add("good")
        self.receiver.busy.add(message)
        self.apart.add(message)
        self.good.append(message)

    @rule()
    def add_refused(self) -> None:
        self.refused.append(self.post.add("refused"))

    @precondition(lambda self: len(self.poison) < 3)
    @rule()
    def add_poison(self) -> None:
        self.poison.append(self.post.add("poison"))

    @rule(seconds=st.sampled_from([1, 59, 60, 61, 120, 240, 3600, 4000]))
    def pass_time(self, seconds: int) -> None:
        self.post.now += timedelta(seconds=seconds)

    @rule()
    def change_server(self) -> None:
        self.receiver.down = not self.receiver.down

    @rule()
    def restart(self) -> None:
        self.post.restart()

    @rule()
    def kill_a_sender(self) -> None:
        message = self.post.store.outbox.find_due("hook")
        if message is not None:
            assert self.post.store.outbox.claim(message, 3 * MINUTE) is not None
            self.apart.add(message)

    @rule()
    def take_turn(self) -> None:
        before = self.post.store.channel_states.list_all().get("hook")
        tried = self.post.take_turn()
        after = self.post.store.channel_states.list_all().get("hook")
        if self.receiver.down and tried:
            assert len(tried) <= 2
            assert after is not None
            assert after.failures == (before.failures + 1 if before else 1)
        if after is not None and after != before:
            delay = min(2 ** (after.failures - 1), 60) * MINUTE
            assert after.next_try in (self.post.now, self.post.now + delay)

    @invariant()
    def nothing_is_sent_twice_and_order_is_kept(self) -> None:
        if not hasattr(self, "post"):
            return
        assert len(set(self.receiver.taken)) == len(self.receiver.taken)
        if not self.poison:
            in_order = [one for one in self.receiver.taken if one not in self.apart]
            assert in_order == [one for one in self.good if one in in_order]


@pytest.mark.slow
def test_any_history_of_a_channel_loses_nothing_doubles_nothing_and_keeps_order(receiver: Receiver) -> None:
    Channel.receiver = receiver
    machine: Any = Channel
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
    machine.TestCase("runTest").runTest()
