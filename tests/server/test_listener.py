"""Where the server listens, how it is protected, and how it starts and ends."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from engine.errors import UsageError
from engine.server.listener import Listener, ListenerOptions, create_listener

from .certificates import make_certificate
from .small_server import SmallServer

LOCAL = ListenerOptions("127.0.0.1:0")


def create(served: SmallServer, options: ListenerOptions = LOCAL, **environ: str) -> Listener:
    return create_listener(served, options, environ, print)


def test_an_address_in_use_is_an_error_before_anything_is_answered(served: SmallServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listener = create(served, ListenerOptions(f"127.0.0.1:{other.getsockname()[1]}"))
        with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*in use; .*--listen"):
            listener.start()
        listener.stop()


@pytest.mark.parametrize("text", ["7310", "localhost", ":7310", "1.2.3.4:x", "1.2.3.4:70000", "::1:7310", "a:b:c", ""])
def test_a_text_that_is_not_an_address_is_refused_with_an_example(served: SmallServer, text: str) -> None:
    with pytest.raises(UsageError, match=r"write HOST:PORT, such as 127\.0\.0\.1:7310"):
        create(served, ListenerOptions(text))


@pytest.mark.parametrize("text", ["0.0.0.0:7310", "[::]:7310", "192.168.1.5:7310", "example.org:80"])
def test_other_machines_are_let_in_only_with_tls_or_a_proxy(served: SmallServer, text: str) -> None:
    with pytest.raises(UsageError, match="--tls-cert and --tls-key, or --behind-proxy"):
        create(served, ListenerOptions(text))
    assert create(served, ListenerOptions(text, behind_proxy=True)).token


def test_a_token_is_given_by_a_file_or_the_environment_or_made(served: SmallServer, tmp_path: Path) -> None:
    good, file = "t" * 32, tmp_path / "token"
    file.write_text(f"{good}\n")
    assert create(served, ListenerOptions(token_file=file)).token == good
    assert create(served, ENGINE_SERVE_TOKEN="e" * 40).token == "e" * 40
    assert create(served).token.startswith("eng_")
    assert create(served).token != create(served).token
    for wrong in ("short", "", "x" * 31, "with blank " * 4, "\u00e4" * 40):
        with pytest.raises(UsageError, match="32 or more") as refused:
            create(served, ENGINE_SERVE_TOKEN=wrong)
        assert not wrong or wrong not in str(refused.value)
    file.write_bytes(b"\xff" * 40)
    with pytest.raises(UsageError, match="cannot be read"):
        create(served, ListenerOptions(token_file=file))
    with pytest.raises(UsageError, match="No such file"):
        create(served, ListenerOptions(token_file=tmp_path / "none"))


def test_the_url_that_is_printed_can_be_opened(served: SmallServer) -> None:
    listener = create(served)
    listener.start()
    try:
        assert httpx2.get(listener.start_url, follow_redirects=True).status_code == 200
    finally:
        listener.stop()


def test_the_token_is_taken_out_of_the_environment_that_runs_inherit(served: SmallServer, tmp_path: Path) -> None:
    environ = {"ENGINE_SERVE_TOKEN": "e" * 40, "HOME": "/"}
    create_listener(served, LOCAL, environ, print)
    assert environ == {"HOME": "/"}
    (tmp_path / "token").write_text("t" * 32)
    environ["ENGINE_SERVE_TOKEN"] = "e" * 40
    assert create_listener(served, ListenerOptions(token_file=tmp_path / "token"), environ, print).token == "t" * 32
    assert environ == {"HOME": "/"}


def test_a_token_that_was_given_is_printed_for_persons_alone(served: SmallServer) -> None:
    made, given = create(served), create(served, ENGINE_SERVE_TOKEN="e" * 40)
    for listener in (made, given):
        assert listener.choose_shown_url(to_person=True) == listener.start_url
    assert made.choose_shown_url(to_person=False) == made.start_url
    assert given.choose_shown_url(to_person=False) == given.url


def test_a_server_url_of_another_port_is_reported_unless_a_proxy_may_lead_here(served: SmallServer) -> None:
    listener, proxied = create(served), create(served, ListenerOptions("127.0.0.1:0", behind_proxy=True))
    for one in (listener, proxied):
        one.start()
    try:
        own = listener.url.rpartition(":")[2]
        assert listener.find_mismatch(f"http://engine.example:{own}") == ""
        for url in ("http://127.0.0.1:1", "https://engine.example", "http://engine.example/"):
            told = listener.find_mismatch(url)
            assert told.startswith(f"`server.url` is {url}, but this server answers at port {own}")
            assert proxied.find_mismatch(url) == ""
    finally:
        listener.stop()
        proxied.stop()


def test_it_stops_soon_although_clients_are_connected(served: SmallServer) -> None:
    listener = create(served)
    listener.start()
    port = int(listener.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"GET /livez HTTP/1.1\r\n")
        began = time.monotonic()
        listener.stop()
        assert time.monotonic() - began < 4
    assert [one for one in threading.enumerate() if one.name == "http"] == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_it_starts_again_on_the_same_address(served: SmallServer) -> None:
    first = create(served)
    first.start()
    port = int(first.url.rpartition(":")[2])
    httpx2.get(f"{first.url}/livez")
    first.stop()
    second = create(served, ListenerOptions(f"127.0.0.1:{port}"))
    second.start()
    assert httpx2.get(f"{second.url}/livez").status_code == 200
    second.stop()


def test_a_server_with_a_certificate_speaks_only_tls(served: SmallServer, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    listener = create(served, ListenerOptions("0.0.0.0:0", tls_cert=certificate, tls_key=key))
    listener.start()
    try:
        port = listener.url.rpartition(":")[2]
        assert listener.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        token = {"authorization": f"Bearer {listener.token}"}
        answer = httpx2.get(f"https://127.0.0.1:{port}/healthz", verify=context, headers=token)
        assert answer.status_code == 200
        with pytest.raises(httpx2.TransportError):
            httpx2.get(f"http://127.0.0.1:{port}/livez")
        old = ssl.create_default_context(cafile=str(certificate))
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
        assert httpx2.get(f"https://127.0.0.1:{port}/livez", verify=old).status_code == 200
    finally:
        listener.stop()


def test_a_certificate_that_cannot_be_used_is_reported(served: SmallServer, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = make_certificate(tmp_path / "other")
    with pytest.raises(UsageError, match="belong together: give both"):
        create(served, ListenerOptions(tls_cert=certificate))
    with pytest.raises(UsageError, match=r"--tls-key .*none is not a file"):
        create(served, ListenerOptions(tls_cert=certificate, tls_key=tmp_path / "none"))
    for wrong in (other, served.path):
        with pytest.raises(UsageError, match="must be PEM files that belong together"):
            create(served, ListenerOptions(tls_cert=certificate, tls_key=wrong))
    assert create(served, ListenerOptions(tls_cert=certificate, tls_key=key)).token


def test_the_http_side_loads_no_data_library_and_other_verbs_do_not_load_it() -> None:
    def list_loaded(*code: str) -> list[str]:
        heavy = ("polars", "numba", "sklearn", "scipy", "starlette", "uvicorn", "prometheus_client")
        script = "; ".join(["import sys", *code, f"print([m for m in {heavy!r} if m in sys.modules])"])
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return list(eval(done.stdout))

    assert list_loaded("import engine.server.listener") == ["starlette", "uvicorn", "prometheus_client"]
    assert (
        list_loaded("import engine.cli.main", "import engine.cli.verbs.validate", "import engine.service.control") == []
    )
