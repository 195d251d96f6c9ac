"""The outbox: a message is due, claimed by one, sent or failed; a claim runs out; nothing is lost."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select

from engine.store import Attachment, Claim, MessageState, OutboxMessage, RunRecord, Store
from engine.store.location import StateLocation
from engine.store.outbox import insert_messages
from engine.store.tables import attachments, outbox

from ..clocks import Clock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def message(name: str, run: str = "run", **other: object) -> OutboxMessage:
    plain = OutboxMessage(name, run, "Data drift warning", "ops_mail", ("a@example.com",), "Subject “ü”", "Text", NOON)
    return replace(plain, **other)


def queue(store: Store, *messages: OutboxMessage) -> None:
    run = RunRecord(f"run of {messages[0].id}", "card_fraud", "Data drift monitor", NOON, "ann@host")
    store.runs.start(run, messages)


def ids(messages: list[OutboxMessage]) -> list[str]:
    return [each.id for each in messages]


def test_a_message_is_read_as_it_was_written(store: Store) -> None:
    contents = (Attachment("log.txt", "text/plain", b"one\n"), Attachment("", "text/html", b"\x00\xff"))
    sent = message("m", to=("a@example.com", "b@example.com"), attachments=contents)
    queue(store, sent)
    listed = replace(sent, attachments=())  # a list holds no contents: they may be gigabytes
    assert store.outbox.list_undelivered() == [listed]
    assert store.outbox.list_undelivered("run") == [listed]
    assert store.outbox.list_undelivered("another run") == []
    claim = store.outbox.claim("m", MINUTE)
    assert claim is not None
    assert claim.message == replace(sent, tries=1)


def test_a_message_that_is_settled_keeps_no_contents(store: Store) -> None:
    contents = (Attachment("log.txt", "text/plain", b"one\n"),)
    queue(store, message("sent", attachments=contents), message("dropped", attachments=contents))
    claim = store.outbox.claim("sent", MINUTE)
    assert claim is not None
    store.outbox.mark_sent(claim)
    store.outbox.drop("dropped", "nobody reads it")
    assert store.outbox.list_undelivered() == []
    assert [(each.id, each.state, each.last_error) for each in store.outbox.list_unsent()] == [
        ("dropped", MessageState.DROPPED, "nobody reads it")
    ]
    with store.database.begin_read() as connection:
        assert connection.execute(select(attachments)).all() == []


def test_a_failed_message_is_due_at_its_next_try_and_says_why(store: Store) -> None:
    queue(store, message("m"))
    claim = store.outbox.claim("m", MINUTE)
    assert claim is not None
    store.outbox.mark_failed(claim, "550 no such user", store.database.now() + 5 * MINUTE)
    assert store.outbox.find_due("ops_mail") is None
    assert store.outbox.claim("m", MINUTE) is None
    (left,) = store.outbox.list_undelivered()
    assert (left.state, left.tries, left.last_error) == (MessageState.PENDING, 1, "550 no such user")


def test_what_has_not_arrived_is_summarized_by_channel(store: Store) -> None:
    names = ("sent", "refused", "tried", "new")
    queue(store, *(message(name, created=NOON + place * MINUTE) for place, name in enumerate(names)))
    queue(store, message("other", channel="hook"))
    now = store.database.now()
    claims = {name: claim for name in names[:3] if (claim := store.outbox.claim(name, MINUTE))}
    store.outbox.mark_sent(claims["sent"])
    store.outbox.mark_failed(claims["refused"], "550 no such user", None)
    store.outbox.mark_failed(claims["tried"], "451 try later", now + 5 * MINUTE)
    hook, mail = store.outbox.summarize_undelivered()
    assert (hook.channel, hook.waiting, hook.refused, hook.last_error) == ("hook", 1, 0, None)
    assert mail[:5] == ("ops_mail", 2, 1, NOON + MINUTE, "451 try later")
    assert mail.due is not None
    assert mail.due <= now  # that of the new one
    store.outbox.drop("new", "nobody reads it")
    assert store.outbox.summarize_undelivered()[1].due == now + 5 * MINUTE
    store.outbox.drop("tried", "nobody reads it")
    assert store.outbox.summarize_undelivered()[1] == ("ops_mail", 0, 1, NOON + MINUTE, "550 no such user", None)


def test_who_was_served_is_not_served_again(store: Store) -> None:
    queue(store, message("m", to=("a@example.com", "b@example.com")))
    claim = store.outbox.claim("m", MINUTE)
    assert claim is not None
    store.outbox.mark_failed(claim, "450 mailbox full", store.database.now(), reached=("a@example.com",))
    assert [(each.to, each.reached) for each in store.outbox.list_undelivered()] == [
        (("a@example.com", "b@example.com"), ("a@example.com",))
    ]


def test_a_refused_message_is_tried_again_only_when_it_is_reopened(store: Store) -> None:
    contents = (Attachment("log.txt", "text/plain", b"one\n"),)
    queue(
        store, message("m", attachments=contents, cc=("c@example.com",), bcc=("d@example.com",), sender="s@example.com")
    )
    claim = store.outbox.claim("m", MINUTE)
    assert claim is not None
    store.outbox.mark_failed(
        claim, "550 no", None, reached=("c@example.com",), refused={"a@example.com": "550 no"}, refusals=1
    )
    assert store.outbox.list_undelivered() == []
    [refused] = store.outbox.list_refused()
    assert (refused.state, refused.refused, refused.refusals) == (MessageState.REFUSED, {"a@example.com": "550 no"}, 1)
    assert store.outbox.claim("m", MINUTE, early=True) is None
    store.outbox.reopen(refused)
    again = store.outbox.claim("m", MINUTE)
    assert again is not None
    assert (again.message.refused, again.message.refusals, again.message.reached) == ({}, 0, ("c@example.com",))
    assert (again.message.attachments, again.message.sender) == (contents, "s@example.com")
    assert (again.message.cc, again.message.bcc) == (("c@example.com",), ("d@example.com",))


@dataclass
class Known:
    """What the model of the outbox knows of one message."""

    due: datetime | None = None
    state: MessageState = MessageState.PENDING
    claim: Claim | None = None
    tries: int = 0


class Deliveries(RuleBasedStateMachine):
    """Two senders, a clock, and any order of what may happen, against a model of a few lines."""

    senders: tuple[Store, Store]
    clock: Clock
    claims = Bundle("claims")

    @initialize()
    def empty(self) -> None:
        with self.senders[0].database.begin_write() as connection:
            connection.execute(delete(outbox))
        self.known: dict[str, Known] = {}

    @rule(sender=st.integers(0, 1), count=st.integers(1, 2))
    def add(self, sender: int, count: int) -> None:
        made = [message(f"m{len(self.known) + i}") for i in range(count)]
        with self.senders[sender].database.begin_write() as connection:
            insert_messages(connection, made)
        self.known |= {each.id: Known() for each in made}

    @rule(
        target=claims, sender=st.integers(0, 1), which=st.integers(0, 5), minutes=st.integers(1, 3), early=st.booleans()
    )
    def take(self, sender: int, which: int, minutes: int, early: bool) -> Claim | None:
        name = f"m{which}"
        claim = self.senders[sender].outbox.claim(name, minutes * MINUTE, early=early)
        assert (claim is not None) == (name in self.due(early=early))
        if claim is not None:
            known = self.known[name]
            known.claim, known.tries = claim, known.tries + 1
            assert (claim.message.id, claim.message.tries, claim.until) == (
                name,
                known.tries,
                self.clock.time + minutes * MINUTE,
            )
        return claim

    @rule(sender=st.integers(0, 1), claim=claims)
    def sent(self, sender: int, claim: Claim | None) -> None:
        if claim is not None:
            self.senders[sender].outbox.mark_sent(claim)
            self.known[claim.message.id].state = MessageState.SENT

    @rule(sender=st.integers(0, 1), claim=claims, minutes=st.integers(0, 3))
    def failed(self, sender: int, claim: Claim | None, minutes: int) -> None:
        if claim is None:
            return
        again = self.clock.time + minutes * MINUTE
        self.senders[sender].outbox.mark_failed(claim, "421 busy", again)
        known = self.known[claim.message.id]
        if known.claim is claim and known.state is MessageState.PENDING:
            known.claim, known.due = None, again

    @rule(minutes=st.integers(1, 4))
    def wait(self, minutes: int) -> None:
        self.clock.time += minutes * MINUTE

    def due(self, *, early: bool = False) -> list[str]:
        return [
            name
            for name, known in self.known.items()
            if known.state is MessageState.PENDING
            and (early or known.due is None or known.due <= self.clock.time)
            and (known.claim is None or known.claim.until <= self.clock.time)
        ]

    @invariant()
    def both_see_the_same(self) -> None:
        unsent = [name for name, known in self.known.items() if known.state is not MessageState.SENT]
        for sender in self.senders:
            assert sender.outbox.find_due("ops_mail") == next(iter(self.due()), None)
            assert ids(sender.outbox.list_undelivered()) == unsent


@pytest.mark.slow
def test_deliveries_in_any_order(location: StateLocation) -> None:
    clock = Clock(NOON)
    with Store.open(location, now=clock) as one, Store.open(location, now=clock) as other:
        machine = type("OnOneStore", (Deliveries,), {"senders": (one, other), "clock": clock})
        run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=20))
