#!/usr/bin/env bash
#
# What surprises: a mail goes to two addresses, the server refuses one of them, and the
# package that sends it says that all is well: notifiers answers with the status Success
# and no errors, redmail returns the message as it always does, and logging's SMTPHandler
# of Python's own library reports nothing. If the only address is refused, all three tell.
# Python's smtplib raises an error only if all addresses are refused, and returns the
# refused ones in a dictionary otherwise, which is documented there; all three throw it
# away. yagmail returns it, and apprise, in 2.3, reports a failure.
#
# Whom it concerns: whoever sends alerts to a list of people. One who has a full mailbox,
# or a typing error in the address, is not told, and nobody learns of it: those who get
# the mail see all addresses in it.
#
# Expected: an error that names the refused address.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check notifiers==2.0.0 redmail==0.6.0

"$tmp/venv/bin/python" -W ignore - <<'PY'
import contextlib
import io
import logging
import sys
import threading
from importlib.metadata import version
from logging.handlers import SMTPHandler
from socketserver import StreamRequestHandler, ThreadingTCPServer

from notifiers import get_notifier
from redmail import EmailSender

SENDER, HERE, GONE = "alerts@example.com", "here@example.com", "gone@example.com"
reached = []


class MailServer(StreamRequestHandler):
    """Accepts mail for all addresses but GONE."""

    def handle(self):
        self.reply("220 mail.example.com")
        addresses = []
        while line := self.rfile.readline().decode().strip():
            word = line.upper().split()[0]
            if word == "RCPT" and GONE in line:
                self.reply("550 5.1.1 no such user")
                continue
            if word == "RCPT":
                addresses.append(line.partition("<")[2].partition(">")[0])
            elif word == "DATA":
                self.reply("354 go on")
                while self.rfile.readline().strip() != b".":
                    pass
                reached.extend(addresses)
            self.reply("221 bye" if word == "QUIT" else "250 ok")

    def reply(self, line):
        self.wfile.write(f"{line}\r\n".encode())


def send_by_notifiers(port, addresses):
    sent = get_notifier("email").notify(
        to=",".join(addresses), from_=SENDER, subject="drift", message="x", host="127.0.0.1", port=port
    )
    return sent.errors


def send_by_redmail(port, addresses):
    try:
        EmailSender("127.0.0.1", port, use_starttls=False).send("drift", SENDER, addresses, text="x")
    except OSError as error:
        return error


def send_by_logging(port, addresses):
    handler = SMTPHandler(("127.0.0.1", port), SENDER, addresses, "drift")
    with contextlib.redirect_stderr(io.StringIO()) as told:
        handler.emit(logging.makeLogRecord({"msg": "x"}))
    return told.getvalue()


ThreadingTCPServer.daemon_threads = True
server = ThreadingTCPServer(("127.0.0.1", 0), MailServer)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"notifiers {version('notifiers')}, redmail {version('redmail')}, Python {sys.version.split()[0]}")
changed = []
for send in (send_by_notifiers, send_by_redmail, send_by_logging):
    for addresses, tells in (([HERE], False), ([GONE], True), ([HERE, GONE], False)):
        reached.clear()
        told = bool(send(server.server_address[1], addresses))
        print(f"  {send.__name__} to {' and '.join(addresses)}: {'an error' if told else 'no error'}, "
              f"reached {' '.join(reached) or 'nobody'}")
        if told != tells or reached != [HERE] * (HERE in addresses):
            changed.append(f"{send.__name__} to {addresses}")
server.shutdown()
if changed:
    sys.exit(f"CHANGED: {'; '.join(changed)}")
PY
