#!/usr/bin/env bash
#
# What surprises: apprise says that a notification was sent, and it was not, if the
# server answers with a redirect: 301, 302 or 303. By the custom of browsers, which
# requests keeps, the POST becomes a GET of the new address without the message. The
# page there (most often one to sign in) answers 200, and apprise takes that for the
# answer of the service. 307 and 308 repeat the POST, which a page refuses. That
# redirects are followed is documented, as the default of redirect=; what becomes of
# the message is not.
#
# Whom it concerns: whoever sends alerts by json://, mmost://, gotify:// and others to
# a server that has moved behind https or a sign-in: all alerts succeed, none arrives.
#
# Expected: a failure, as with redirect=no in the URL.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check apprise==2.3.0 requests==2.34.2

"$tmp/venv/bin/python" -W ignore - <<'PY'
import http.server
import logging
import sys
import threading
from importlib.metadata import version

import apprise

logging.disable(logging.CRITICAL)
TOKEN = "0" * 26
asked = []  # method, path, and whether the body held the message


class Handler(http.server.BaseHTTPRequestHandler):
    status = 200

    def answer(self, status):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked.append((self.command, self.path, b"drifted" in body))
        self.send_response(status)
        self.send_header("Location", "/sign-in")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        self.answer(405 if self.path == "/sign-in" else self.status)

    def do_GET(self):
        self.answer(200)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"127.0.0.1:{server.server_port}"
SERVICES = {
    "json": f"json://{address}/hook",
    "Mattermost": f"mmost://{address}/{TOKEN}",
    "Gotify": f"gotify://{address}/{TOKEN[:15]}",
    "Rocket.Chat": f"rocket://{TOKEN[:24]}/{TOKEN}@{address}/alerts?mode=webhook",
}


def notify(url):
    """Whether apprise says that the message was sent."""
    service = apprise.Apprise()
    if not service.add(url):
        sys.exit(f"CHANGED: apprise does not take {url}")
    return bool(service.notify(title="card_fraud", body="amount has drifted"))


print(f"apprise {version('apprise')}, requests {version('requests')}")
EXPECTED = {200: (True, "POST", True), 307: (False, "POST", True)}  # whether sent, last request, with the message
changed = []
for name, url in SERVICES.items():
    for status in (200, 301, 302, 303, 307):
        Handler.status = status
        asked.clear()
        sent = notify(url)
        last, _, whole = asked[-1]
        print(f"  {name:11} answers {status}: {'sent' if sent else 'not sent':8}; the last request was a {last}, "
              f"{'with' if whole else 'without'} the message")
        if (sent, last, whole) != EXPECTED.get(status, (True, "GET", False)):
            changed.append(f"{name} {status}")
Handler.status = 302
sent = notify(SERVICES["json"] + "?redirect=no")
print(f"  json with redirect=no, answer 302: {'sent' if sent else 'not sent'}")
if changed or sent:
    sys.exit(f"CHANGED: {', '.join(changed) or 'redirect=no'}")
PY
