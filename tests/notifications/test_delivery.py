"""The outbox through real channels: sent once, kept while a channel is down, sent when it is back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from unittest.mock import ANY

import pytest

from engine.notifications import DeliveryTime, deliver_messages
from engine.notifications.attempt import REMARK_CHARACTERS
from engine.outcome import Outcome
from engine.spec import Secrets, load
from engine.store import MessageState, Store

from .office import PASSWORD

SENT = (MessageState.SENT, ANY)  # where to is told too


def test_a_message_is_sent_once(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    office.queue("ops_mail", "a@example.com")
    assert office.deliver() == [SENT]
    assert office.deliver() == []
    assert office.store.outbox.list_undelivered() == []
    assert [recipients for recipients, _ in inbox.mails] == [["a@example.com"]]


def test_messages_are_sent_in_order_and_a_failure_does_not_stop_the_others(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.refuse = {"b@example.com": "550 5.1.1 no such user"}
    for name in "abc":
        office.queue("ops_mail", f"{name}@example.com")
    states = office.deliver()
    assert [state for state, _ in states] == [MessageState.SENT, MessageState.REFUSED, MessageState.SENT]
    assert states[1][1] == "refused for good: 127.0.0.1: b@example.com: 550 5.1.1 no such user"
    assert [mail["Subject"] for _, mail in inbox.mails] == ["to a@example.com", "to c@example.com"]
    [refused] = office.store.outbox.list_refused()
    assert refused.last_error == "127.0.0.1: b@example.com: 550 5.1.1 no such user"
    assert office.store.outbox.list_undelivered() == []


def test_an_unforeseen_error_in_one_channel_does_not_stop_the_others(office):
    office.environ["SMTP_URL"] = f"smtp://user:{PASSWORD}@127.0.0.1?ca=%00"
    office.queue("ops_mail", "a@example.com")
    office.queue("files")
    first, second = office.deliver()
    assert first == (MessageState.PENDING, "internal error: ValueError: embedded null byte")
    assert second == SENT


def test_a_server_that_is_down_gets_the_same_message_once_it_is_back(office, servers):
    inbox = servers.start()
    servers.stop()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    id_ = office.queue("ops_mail", "a@example.com")
    refused = (MessageState.PENDING, f"127.0.0.1:{inbox.port}: Connection refused")
    assert office.deliver() == [refused]
    assert office.deliver() == [refused]
    back = servers.start(port=inbox.port)
    assert office.deliver() == [SENT]
    assert office.deliver() == []
    [(_, mail)] = back.mails
    assert mail["Message-ID"] == f"<{id_}@example.com>"


def test_a_greylisting_server_takes_the_same_mail_later(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.answer_data = ["451 4.7.1 greylisted, come back in a minute"]
    id_ = office.queue("ops_mail", "a@example.com")
    reason = "127.0.0.1: 451 4.7.1 greylisted, come back in a minute"
    assert office.deliver() == [(MessageState.PENDING, reason)]
    assert office.deliver() == [SENT]
    [(_, mail)] = inbox.mails
    assert mail["Message-ID"] == f"<{id_}@example.com>"
    assert mail["Date"].datetime == datetime(2026, 11, 23, 1, 38, tzinfo=UTC)


def test_only_refused_recipients_are_tried_again(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.refuse = {"b@example.com": "450 4.2.2 mailbox full"}
    office.queue("ops_mail", "a@example.com", "B <b@example.com>", "c@example.com")
    assert office.deliver() == [(MessageState.PENDING, "127.0.0.1: b@example.com: 450 4.2.2 mailbox full")]
    assert office.store.outbox.list_undelivered()[0].reached == ("a@example.com", "c@example.com")
    inbox.refuse = {}
    assert office.deliver() == [SENT]
    assert [recipients for recipients, _ in inbox.mails] == [["a@example.com", "c@example.com"], ["b@example.com"]]


def test_a_message_in_another_senders_hands_is_left_there(office):
    id_ = office.queue("files")
    claim = office.store.outbox.claim(id_, timedelta(minutes=5))
    assert office.deliver() == [(MessageState.PENDING, "another process is sending it")]
    office.clock.forward(minutes=5)
    assert office.deliver() == [SENT]
    assert claim is not None


def test_messages_to_a_channel_that_is_gone_are_dropped_which_is_said_once(office):
    office.queue("mail_only", "a@example.com")
    lines = office.spec.read_text().splitlines(keepends=True)
    office.spec.write_text("".join(line for line in lines if not line.startswith("  mail_only:")))
    gone = load(office.spec, environ={})
    [(state, reason)] = office.deliver(project=gone)
    assert (state, reason) == (
        MessageState.DROPPED,
        "dropped: the spec does not declare this channel any more",
    )
    assert office.deliver(project=gone) == []
    assert office.deliver() == []


def test_an_absent_secret_uses_otherwise_and_without_one_says_so(office, tmp_path):
    office.queue("ops_mail", "a@example.com")
    office.queue("mail_only", "a@example.com")
    office.queue("needs_secret", "a@example.com")
    sent, absent, required = office.deliver()
    assert sent == (MessageState.SENT, "files in outbox, because the secret smtp_url is absent")
    assert "the secret smtp_url in the url of this channel is absent" in absent[1]
    assert "the environment variable NEEDED is not set" in required[1]
    [file] = (tmp_path / "outbox").iterdir()
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert (mail["From"], mail["To"]) == ("dss@example.com", "a@example.com")


def test_a_webhook_gets_the_outcome_of_the_run(office, webhook):
    office.environ["HOOK_URL"] = f"json://127.0.0.1:{webhook.port}/alerts"
    office.queue("hook", outcome=Outcome.WARNING)
    office.queue("hook", outcome=Outcome.FAILED)
    assert office.deliver() == [SENT, SENT]
    assert [post["type"] for post in webhook.posts] == ["warning", "failure"]


def test_two_senders_at_once_send_each_message_once(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    ids = {office.queue("ops_mail", "a@example.com") for _ in range(6)}

    def send() -> list[MessageState]:
        with Store.open(office.store.folder, now=office.clock) as store:
            secrets = Secrets(office.project, office.environ)
            return [delivery.state for delivery in deliver_messages(store, office.project, secrets, "run later")]

    with ThreadPoolExecutor(2) as pool:
        states = [sending.result() for sending in [pool.submit(send), pool.submit(send)]]
    assert sum(state is MessageState.SENT for found in states for state in found) == 6
    assert sorted(mail["Message-ID"] for _, mail in inbox.mails) == sorted(f"<{id_}@example.com>" for id_ in ids)
    assert office.store.outbox.list_undelivered() == []


def test_after_a_weekend_the_newest_messages_are_sent_and_the_oldest_of_them_tells_of_the_others(office, servers):
    ids = []
    for _ in range(96):
        ids.append(office.queue("ops_mail", "a@example.com"))
        office.clock.forward(minutes=30)
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    began = office.clock()
    office.queue("ops_mail", "a@example.com")
    found = office.deliver(time_of_run=DeliveryTime(began))
    assert [state for state, _ in found].count(MessageState.DROPPED) == 91
    assert [state for state, _ in found].count(MessageState.SENT) == 6
    oldest = inbox.mails[0][1]
    assert oldest["Message-ID"] == f"<{ids[91]}@example.com>"
    for kind in ("plain", "html"):
        text = oldest.get_body((kind,)).get_content()
        assert "91 earlier messages of this reporter could not be sent" in text
        assert "2026-11-23 01:38 UTC to a@example.com" in text
        assert "and 71 more" in text
    assert "earlier messages" not in inbox.mails[1][1].get_body(("plain",)).get_content()
    assert len(office.store.outbox.list_unsent()) == 91
    assert all(
        message.last_error == f"told of by the later message {ids[91]}" for message in office.store.outbox.list_unsent()
    )


def test_what_was_joined_before_is_reported_by_the_message_that_is_sent_at_last(office, servers):
    office.environ["SMTP_URL"] = "smtp://127.0.0.1:1"
    for _ in range(20):
        office.queue("ops_mail", "a@example.com")
        office.clock.forward(minutes=30)
        office.deliver(time_of_run=DeliveryTime(office.clock()))
    assert len(office.store.outbox.list_undelivered()) == 5
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    office.deliver(time_of_run=DeliveryTime(office.clock()))
    assert len(inbox.mails) == 5
    told = [mail.get_body(("plain",)).get_content() for _, mail in inbox.mails]
    assert sum("15 earlier messages of this reporter" in text for text in told) == 1


def test_a_recipient_who_is_refused_for_good_is_reported_while_another_is_tried_again(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.refuse = {"b@example.com": "550 5.1.1 no such user", "c@example.com": "451 4.7.1 greylisted"}
    office.queue("ops_mail", "a@example.com", "b@example.com", "c@example.com")
    [(state, reason)] = office.deliver()
    assert state is MessageState.PENDING
    assert "550 5.1.1 no such user" in reason
    assert "451 4.7.1 greylisted" in reason
    del inbox.refuse["c@example.com"]
    assert office.deliver() == [
        (
            MessageState.REFUSED,
            "sent to the others, but refused for good: 127.0.0.1: b@example.com: 550 5.1.1 no such user",
        )
    ]
    assert [recipients for recipients, _ in inbox.mails] == [["a@example.com"], ["c@example.com"]]
    assert office.deliver() == []
    inbox.refuse = {}
    [refused] = office.store.outbox.list_refused()
    office.store.outbox.reopen(refused)
    assert office.deliver() == [SENT]
    assert inbox.mails[2][0] == ["b@example.com"]
    assert inbox.mails[2][1]["To"] == "a@example.com, b@example.com, c@example.com"


@pytest.mark.slow
def test_only_the_services_and_targets_that_failed_are_tried_again(office, webhook):
    refused = {"two"}
    webhook.judge = lambda post: 503 if post.get("topic") in refused else 200
    office.environ["HOOK_URL"] = (
        f"ntfy://127.0.0.1:{webhook.port}/one/two/three, json://127.0.0.1:{webhook.port}/all json://127.0.0.1:1/down"
    )
    office.queue("hook")
    [(state, reason)] = office.deliver()
    assert state is MessageState.PENDING
    assert "error=503" in reason
    assert "Connection refused" in reason
    assert sorted(post.get("topic", "json") for post in webhook.posts) == ["json", "one", "three", "two"]
    assert "one" not in str(office.store.outbox.list_undelivered()[0].reached)
    webhook.posts.clear()
    refused.clear()
    [(state, _)] = office.deliver()
    assert [post.get("topic", "json") for post in webhook.posts] == ["two"]
    assert state is MessageState.PENDING


def test_what_a_service_leaves_out_is_reported_with_the_delivery_and_kept(office, webhook):
    office.environ["HOOK_URL"] = f"ntfy://127.0.0.1:{webhook.port}/alerts/Zq7!{'/no!' * 200}"
    sent = office.store.outbox.find(office.queue("hook"))
    secrets = Secrets(office.project, office.environ)
    [delivery] = deliver_messages(office.store, office.project, secrets, f"run {sent.run}")
    assert delivery.state is MessageState.SENT
    assert "is invalid and will be ignored" in delivery.remark
    assert len(delivery.remark) <= REMARK_CHARACTERS
    kept = office.store.outbox.find(sent.id)
    assert kept.fate == f"ntfy through apprise; sent at 2026-11-23 01:38:00 UTC; {delivery.remark}"
    assert "Zq7" not in kept.fate
    assert office.deliver() == []


def test_what_one_service_left_out_is_reported_although_another_one_failed(office, webhook):
    office.environ["HOOK_URL"] = f"ntfy://127.0.0.1:{webhook.port}/alerts/a!b json://127.0.0.1:1/down"
    office.queue("hook")
    [(state, reason)] = office.deliver()
    assert state is MessageState.PENDING
    assert "Connection refused" in reason
    assert "is invalid and will be ignored" in reason


def test_a_service_that_refuses_the_message_is_asked_once_and_one_that_is_not_found_three_times(office, webhook):
    office.environ["HOOK_URL"] = f"json://127.0.0.1:{webhook.port}/x?optional=yes&retry=2"
    office.queue("hook")
    webhook.status = 400
    [(state, reason)] = office.deliver()
    assert state is MessageState.REFUSED
    assert "error=400" in reason
    assert office.deliver() == []
    office.queue("hook")
    webhook.status = 404
    states = [[state for state, _ in office.deliver()] for _ in range(4)]
    assert states == [[MessageState.PENDING], [MessageState.PENDING], [MessageState.REFUSED], []]
    office.queue("hook")
    for webhook.status in (429, 500, 503, 408, 425):
        assert [state for state, _ in office.deliver()] == [MessageState.PENDING]
    webhook.status = 200
    assert office.deliver() == [SENT]
