#!/usr/bin/env bash
#
# What surprises: obstore's S3Store takes any answer of status 200 for one of an
# object store. If the endpoint is the address of a web page, such as the console
# that many stores have beside their API, a bucket lists as empty without an
# error, and any object can be read: it is the page, last modified in 1970.
#
# Whom it concerns: programs that take an empty listing for "nothing is there
# yet", and would then start anew, or report that no files have come.
#
# Expected: an error, since the answer is no ListBucketResult.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check obstore==0.12.1

"$tmp/venv/bin/python" - <<'PY'
import http.server
import sys
import threading
from importlib.metadata import version

import obstore
from obstore.store import S3Store

PAGE = b"<!doctype html><title>Console</title><p>Please log in.</p>"


class Console(http.server.BaseHTTPRequestHandler):
    """A web page that answers each address."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Console)
threading.Thread(target=server.serve_forever, daemon=True).start()
store = S3Store(
    "data",
    endpoint=f"http://127.0.0.1:{server.server_port}",
    access_key_id="key",
    secret_access_key="secret",
    region="us-east-1",
    client_options={"allow_http": True},
)
listed = [one["path"] for page in obstore.list(store) for one in page]
got = obstore.get(store, "orders/2026.parquet")
content = bytes(got.bytes())
print(f"obstore {version('obstore')}, endpoint: a web page")
print(f"  list(store): {listed}")
print(f"  get(store, 'orders/2026.parquet'): {len(content)} bytes, last modified {got.meta['last_modified']:%Y-%m-%d}")
if listed or content != PAGE:
    sys.exit("CHANGED: the page is no longer taken for a store")
PY
