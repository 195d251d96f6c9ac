"""Mail through real SMTP servers: encrypted, logged in, refused, silent."""

import dataclasses
import traceback
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import pytest

from engine.errors import DeliveryError
from engine.notifications import mail
from engine.notifications.envelope import Envelope, RefusedError
from engine.notifications.mime import create_html_part
from engine.spec.resources.channels import MailChannel
from engine.spec.urls.smtp_url import SmtpServer
from engine.store import Attachment, OutboxMessage

# aiosmtpd does not count TLS from the first byte as TLS, and warns of what is not a danger there.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

USER, PASSWORD = "monitor@example.com", "p@ss/w:rd?#é%"
LOGIN = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
MESSAGE = OutboxMessage(
    id="20261123-013800-123456-7f3a9c1b",
    run=None,
    reporter="Data drift warning",
    channel="ops_mail",
    to=("mlops@example.com", "Élodie Müller <elodie@example.com>"),
    subject="Überwachung “drift” 📈",
    text="Données\nline two\n.\nlast",
    created=datetime(2026, 11, 23, 1, 38, tzinfo=UTC),
    attachments=(
        create_html_part("<p>Données</p>"),
        Attachment("scenario_log.txt", "text/plain", "gefunden: ü\n".encode()),
        Attachment("Übersicht.csv", "text/csv", b"a,b\n1,2\n"),
    ),
)


def send(url: str, message: OutboxMessage = MESSAGE, *, folder: Path = Path(), timeout: float = 5) -> None:
    channel = MailChannel(**{"url": "${secret.smtp_url}", "from": "DSS <dss@example.com>", "timeout": timeout})
    mail.send(channel, Envelope(message, url, folder, folder, channel.from_, None))


def parts(received: EmailMessage) -> dict[str, str]:
    """Return the parts by file name, or by type, with this machine's line ends."""
    return {
        part.get_filename() or part.get_content_type(): part.get_content().replace("\r\n", "\n")
        for part in received.walk()
        if not part.is_multipart()
    }


def test_plain_and_html_part_and_attachments_arrive_as_they_were_written(servers):
    inbox = servers.start()
    send(f"smtp://127.0.0.1:{inbox.port}")
    [(recipients, received)] = inbox.mails
    assert recipients == ["mlops@example.com", "elodie@example.com"]
    assert received["Subject"] == "Überwachung “drift” 📈"
    assert received["To"] == "mlops@example.com, Élodie Müller <elodie@example.com>"
    assert received["From"] == "DSS <dss@example.com>"
    assert received["Date"].datetime == MESSAGE.created
    assert received["Message-ID"] == "<20261123-013800-123456-7f3a9c1b@example.com>"
    assert parts(received) == {
        "text/plain": "Données\nline two\n.\nlast\n",
        "text/html": "<p>Données</p>\n",
        "scenario_log.txt": "gefunden: ü\n",
        "Übersicht.csv": "a,b\n1,2\n",
    }
    body = received.get_body(("html",))
    assert body is not None
    assert body.get_content_type() == "text/html"
    assert [part.get_content_type() for part in received.iter_attachments()] == ["text/plain", "text/csv"]


def envelope(port: int, message: OutboxMessage = MESSAGE) -> Envelope:
    return Envelope(message, f"smtp://127.0.0.1:{port}", Path(), Path(), "dss@example.com", None)


CHANNEL = MailChannel(**{"url": "${secret.smtp_url}", "from": "dss@example.com"})
LARGE = dataclasses.replace(
    MESSAGE, attachments=(*MESSAGE.attachments, Attachment("report.html", "text/html", b"x" * 50_000))
)


@pytest.mark.parametrize("answer", ["", "552 5.3.4 message too big", "554 5.3.4 message too big for us"])
def test_a_mail_that_is_too_large_for_the_server_is_sent_as_text_alone_and_that_is_reported(servers, answer):
    inbox = servers.start(largest=None if answer else 20_000)  # it says so before the mail, or after it
    inbox.answer_data = [answer] if answer else []
    post = envelope(inbox.port, LARGE)
    mail.send(CHANNEL, post)
    [(recipients, received)] = inbox.mails
    assert recipients == ["mlops@example.com", "elodie@example.com"]
    left_out = (
        "(Not attached, because the mail server does not accept a mail of this size: "
        "scenario_log.txt, Übersicht.csv, report.html)"
    )
    assert parts(received) == {"text/plain": f"{MESSAGE.text}\n\n{left_out}\n"}
    assert received["Message-ID"] == f"<{MESSAGE.id}@example.com>"
    [remark] = post.remarks
    assert remark.startswith("sent as text only, because the server refused the whole mail: 55")
    assert post.reached == list(MESSAGE.to)


def test_a_text_that_is_too_large_alone_is_refused_in_the_servers_words(servers):
    inbox = servers.start(largest=20_000)
    for files in ((), LARGE.attachments):
        with pytest.raises(RefusedError, match=r"552 Error: message size exceeds fixed maximum message size"):
            mail.send(CHANNEL, envelope(inbox.port, dataclasses.replace(LARGE, text="x" * 30_000, attachments=files)))
    assert inbox.mails == []


def test_a_mailbox_that_is_full_is_not_a_mail_that_is_too_large(servers):
    inbox = servers.start()
    inbox.answer_data = ["552 5.2.2 mailbox full", "250 taken"]
    with pytest.raises(RefusedError, match="mailbox full"):
        mail.send(CHANNEL, envelope(inbox.port))


def test_every_part_is_seven_bit(servers):
    inbox = servers.start()
    send(f"smtp://127.0.0.1:{inbox.port}")
    assert bytes(inbox.mails[0][1]).isascii()


@pytest.mark.parametrize("password", [PASSWORD, "plain p@ss/w:rd?"])
@pytest.mark.parametrize(("scheme", "tls"), [("smtp", "starttls"), ("smtps", "implicit")])
def test_encrypted_and_logged_in(servers, certificates, scheme, tls, password):
    inbox = servers.start(tls=tls, login=True)
    inbox.password = password
    asked = f"ca={certificates.ca.name}" + ("&tls=starttls" if scheme == "smtp" else "")
    login = f"{quote(USER, safe='')}:{quote(password, safe='')}"
    send(f"{scheme}://{login}@localhost:{inbox.port}?{asked}", folder=certificates.ca.parent)
    assert len(inbox.mails) == 1
    assert inbox.logins


@pytest.mark.parametrize(("scheme", "tls"), [("smtp", "starttls"), ("smtps", "implicit")])
def test_an_unknown_authority_is_refused_before_any_login(servers, scheme, tls):
    inbox = servers.start(tls=tls, login=True)
    asked = "?tls=starttls" if scheme == "smtp" else ""
    with pytest.raises(DeliveryError, match="certificate verify failed: unable to get local issuer certificate"):
        send(f"{scheme}://{LOGIN}@localhost:{inbox.port}{asked}")
    assert (inbox.mails, inbox.logins) == ([], [])


def test_a_certificate_for_another_name_is_refused(servers, certificates):
    inbox = servers.start(tls="implicit", host="127.0.0.2")
    with pytest.raises(DeliveryError, match="IP address mismatch"):
        send(f"smtps://127.0.0.2:{inbox.port}?ca={certificates.ca}", folder=Path("/"))


def test_starttls_is_not_given_up_where_the_server_does_not_offer_it(servers):
    inbox = servers.start()
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1: STARTTLS extension not supported by server"):
        send(f"smtp://{LOGIN}@127.0.0.1:{inbox.port}?tls=starttls")
    assert (inbox.mails, inbox.logins) == ([], [])


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtp://mail.example.com:25", "mail.example.com", 25, "starttls"),
        ("smtp://mail.example.com?tls=none", "mail.example.com", 25, "none"),
        ("smtp://localhost?tls=starttls", "localhost", 587, "starttls"),
        ("smtp://localhost:2525?ca=own.pem", "localhost", 2525, "starttls"),
        ("smtp://10.0.0.7", "10.0.0.7", 587, "starttls"),
        ("smtp://localhost", "localhost", 25, "none"),
        ("smtp://127.8.0.1:2525", "127.8.0.1", 2525, "none"),
        ("smtp://[::1]:2525?tls=starttls", "::1", 2525, "starttls"),
        ("smtps://u:p@mail.example.com/", "mail.example.com", 465, "implicit"),
    ],
)
def test_only_this_machine_is_spoken_to_in_clear_unless_asked(url, host, port, tls):
    server = SmtpServer.parse(url)
    assert (server.host, server.port, server.tls) == (host, port, tls)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://user:Zq7secret@host", "does not start with smtp://"),
        ("smtp://user:Zq7/secret@host", "cannot be read"),
        ("smtp://user:25/Zq7secret@host", "no path"),
        ("smtp://user:25#Zq7secret@host", "no path"),
        ("smtp://user:25?Zq7secret@host", "cannot be read"),
        ("smtp://user:25?Zq7=secret@host", "can contain tls and ca"),
        ("smtp://user:Zq7secret@", "must contain a host"),
        ("smtp://user:Zq7secret@host:99999", "cannot be read"),
        ("smtp://user:Zq7secret@[::1", "cannot be read"),
        ("smtp://user:Zq7secret@mail..example.com", "cannot be read"),
        ("smtp://user:Zq7secret@host?tls=maybe", "starttls or none"),
        ("smtp://user:Zq7secret@host?tls=none&tls=starttls", "once each"),
        ("smtps://user:Zq7secret@host?tls=none", "always uses TLS"),
    ],
)
def test_a_wrong_url_is_explained_and_never_quoted(url, words):
    with pytest.raises(DeliveryError, match=words) as caught:
        send(url)
    assert "Zq7" not in str(caught.value)
    assert "secret@" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "Zq7" not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_password_is_reported_in_the_servers_words(servers, certificates):
    inbox = servers.start(tls="starttls", login=True)
    with pytest.raises(DeliveryError) as caught:
        send(
            f"smtp://{quote(USER)}:Zq7wrong@localhost:{inbox.port}?tls=starttls&ca={certificates.ca}", folder=Path("/")
        )
    assert str(caught.value) == "localhost: 535 5.7.8 Authentication credentials invalid"


def test_login_where_the_server_has_none(servers):
    inbox = servers.start()
    with pytest.raises(DeliveryError, match="SMTP AUTH extension not supported by server"):
        send(f"smtp://user:password@127.0.0.1:{inbox.port}")


def test_a_recipient_refused_alone_is_named_and_the_others_are_served(servers):
    inbox = servers.start()
    inbox.refuse = {"elodie@example.com": "550 5.1.1 no mailbox of that name here"}
    with pytest.raises(RefusedError) as caught:
        send(f"smtp://127.0.0.1:{inbox.port}")
    words = "127.0.0.1: elodie@example.com: 550 5.1.1 no mailbox of that name here"
    assert str(caught.value) == words
    assert caught.value.refused == {"Élodie Müller <elodie@example.com>": words}
    assert caught.value.complete
    assert [recipients for recipients, _ in inbox.mails] == [["mlops@example.com"]]


def test_all_recipients_refused(servers):
    inbox = servers.start()
    inbox.refuse = {"mlops@example.com": "550 no", "elodie@example.com": "451 4.7.1 greylisted, come back"}
    with pytest.raises(DeliveryError) as caught:
        send(f"smtp://127.0.0.1:{inbox.port}")
    assert str(caught.value) == (
        "127.0.0.1: mlops@example.com: 550 no; elodie@example.com: 451 4.7.1 greylisted, come back"
    )
    assert isinstance(caught.value, RefusedError)
    assert list(caught.value.refused) == ["mlops@example.com"]
    assert not caught.value.complete  # the other one is asked again


def test_the_message_itself_refused(servers):
    inbox = servers.start()
    inbox.answer_data = ["554 5.7.1 it looks like spam"]
    with pytest.raises(DeliveryError, match=r"^127\.0\.0\.1: 554 5\.7\.1 it looks like spam$"):
        send(f"smtp://127.0.0.1:{inbox.port}")


def test_nobody_listens(servers):
    inbox = servers.start()
    servers.stop()
    with pytest.raises(DeliveryError, match=rf"^127\.0\.0\.1:{inbox.port}: Connection refused$"):
        send(f"smtp://127.0.0.1:{inbox.port}")


def test_a_name_that_does_not_exist():
    with pytest.raises(DeliveryError, match=r"^no-such-host\.invalid:587: .*(not known|resolution)"):
        send(f"smtp://{LOGIN}@no-such-host.invalid")


def test_a_server_that_hangs_is_left_after_the_timeout(servers):
    inbox = servers.start()
    inbox.hang = True
    with pytest.raises(DeliveryError, match=rf"^127\.0\.0\.1:{inbox.port} did not answer in 0\.5 s$"):
        send(f"smtp://127.0.0.1:{inbox.port}", timeout=0.5)


def test_a_missing_authority_file(servers):
    with pytest.raises(DeliveryError, match=r"^ca=nowhere\.pem: No such file or directory$"):
        send("smtps://localhost?ca=nowhere.pem")


def test_speaking_tls_to_a_server_that_does_not(servers):
    inbox = servers.start()
    with pytest.raises(DeliveryError, match=rf"^localhost:{inbox.port}: "):
        send(f"smtps://localhost:{inbox.port}")


@pytest.mark.parametrize(
    "to",
    ["mlops", "", "a@example.com, b@example.com", "a@", "@example.com", "two words@example.com"],
)
def test_a_text_that_is_not_an_address_is_reported_before_a_server_is_asked(to):
    with pytest.raises(DeliveryError, match="is not one mail address"):
        send("smtp://localhost:1", dataclasses.replace(MESSAGE, to=(to,)))


def test_nobody_to_send_to():
    with pytest.raises(DeliveryError, match="the message has no recipient"):
        send("smtp://localhost:1", dataclasses.replace(MESSAGE, to=()))


def test_a_message_of_an_enormous_line(servers):
    inbox = servers.start()
    send(f"smtp://127.0.0.1:{inbox.port}", dataclasses.replace(MESSAGE, text="x" * 5000, subject="s" * 5000))
    received = inbox.mails[0][1]
    assert parts(received)["text/plain"] == "x" * 5000 + "\n"
    assert received["Subject"] == "s" * 249 + "…"
    assert max(map(len, bytes(received).splitlines())) <= 998


def test_copies_and_hidden_receivers_get_the_mail_and_only_the_copies_are_in_it(servers):
    inbox = servers.start()
    message = dataclasses.replace(MESSAGE, cc=("C <c@example.com>",), bcc=("d@example.com",))
    channel = MailChannel(**{"url": "${secret.smtp_url}", "from": "dss@example.com"})
    mail.send(
        channel, Envelope(message, f"smtp://127.0.0.1:{inbox.port}", Path(), Path(), "Drift <drift@example.com>", None)
    )
    [(recipients, received)] = inbox.mails
    assert recipients == ["mlops@example.com", "elodie@example.com", "c@example.com", "d@example.com"]
    assert (received["From"], received["Cc"]) == ("Drift <drift@example.com>", "C <c@example.com>")
    assert "d@example.com" not in received.as_string()
