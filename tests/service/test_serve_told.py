"""What `engine serve` tells of its specs: what a reload has changed, and what is not served."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from engine.cli.printers.serve_printers import ServePrinter

from .served import TOKEN, Served, describe_scenario, read_state, wait_until, write_project

pytestmark = pytest.mark.slow


def test_each_reload_says_what_it_has_changed(serve: Callable[..., Served], tmp_path: Path) -> None:
    scenario = describe_scenario("s", "note", every="30d")
    write_project(tmp_path, f'server: {{url: "http://127.0.0.1:1"}}\nscenarios:\n{scenario}')
    spec = tmp_path / "served.yaml"
    server = serve()
    server.wait_for("served")
    (warning,) = server.list_told("warning")
    assert warning["text"].startswith("served: `server.url` is http://127.0.0.1:1, but this server answers at port")

    server.process.send_signal(signal.SIGHUP)
    assert server.wait_for("unchanged")["text"] == "the specs were read again: nothing has changed"

    good = spec.read_text()
    spec.write_text(good.replace("steps:", "stepps:"))
    server.process.send_signal(signal.SIGHUP)
    told = server.wait_for("invalid spec")["text"]
    assert "until it is corrected are SKIPPED; then reload it with SIGHUP or POST /reload" in told
    server.process.send_signal(signal.SIGHUP)
    assert server.wait_for("unchanged", 2)["text"].endswith("still invalid: served.yaml")

    spec.write_text(good.replace("[{name: timer, kind: interval, every: 30d}]", "[]"))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("valid spec")
    told = server.wait_for("spec")["text"]
    assert told.startswith("served: uses the current served.yaml: no active triggers")
    assert len(server.list_told("warning")) == 1
    assert server.end() == 0


def test_the_second_of_two_specs_of_one_project_is_reported_once_and_in_the_health(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    text = f"version: 1\nproject: one\nscenarios:\n{describe_scenario('s', 'note', every='30d')}"
    for name in ("a.yaml", "b.yaml"):
        write_project(tmp_path, text, name)
    server = serve(".")
    server.wait_for("served")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("unchanged")
    (told,) = server.list_told("problem")
    assert told["text"].startswith("b.yaml is not served: the project of a.yaml has the same name, one.")
    with httpx2.Client(
        base_url=server.wait_for("listening")["url"], headers={"authorization": f"Bearer {TOKEN}"}
    ) as client:
        first, second = client.get("/healthz").json()["projects"]
        assert (first["project"], first["spec_valid"]) == ("one", True)
        assert (second["project"], second["spec_valid"], second["spec_problems"]) == ("b.yaml", False, [told["text"]])
        assert client.get("/readyz").status_code == 503
        assert 'engine_spec_valid{project="b.yaml"} 0.0' in client.get("/metrics").text
    assert server.end() == 0


def test_a_state_that_can_be_used_again_is_reported(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_project(tmp_path, f"scenarios:\n{describe_scenario('s', 'note', every='1s')}")
    state.parent.mkdir()
    state.write_text("a file where a folder should be")
    server = serve()
    server.wait_for("problem")
    with httpx2.Client(
        base_url=server.wait_for("listening")["url"], headers={"authorization": f"Bearer {TOKEN}"}
    ) as client:
        assert client.get("/readyz").json()["reasons"] == ["served: its state cannot be used"]
        state.unlink()
        server.wait_for("served")
        wait_until(lambda: client.get("/readyz").status_code == 200, "it did not recover", server)
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (20_000, limits[1]))  # as on a disk that is full
    server.wait_for("problem", 2)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
    server.wait_for("recovered")
    kinds = [one["kind"] for one in server.list_told() if one["kind"] in ("problem", "recovered", "served")]
    assert kinds[:3] == ["problem", "served", "problem"]
    assert kinds.count("served") == 1
    assert server.end() == 0


def test_a_deleted_spec_is_reported_once_and_so_is_its_return(serve: Callable[..., Served], tmp_path: Path) -> None:
    write_project(tmp_path, f"scenarios:\n{describe_scenario('s', 'note', every='30d')}")
    spec = tmp_path / "served.yaml"
    good = spec.read_text()
    server = serve("served.yaml", "--reload")
    server.wait_for("served")
    before = len(server.list_told())
    spec.unlink()
    server.wait_for("invalid spec")
    spec.write_text(good)
    server.wait_for("valid spec")
    assert [one["kind"] for one in server.list_told()[before:]] == ["invalid spec", "valid spec"]
    assert server.err.read_text().count("there is no such file") == 1
    assert server.end() == 0


def test_a_state_that_is_replaced_is_reported_and_opened_anew(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_project(tmp_path, f"scenarios:\n{describe_scenario('s', 'note', every='1s')}")
    server = serve()
    server.wait_for("run", 2)
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in state.glob("state.db*"):
        path.rename(kept / path.name)
    told = server.wait_for("problem")["text"]
    assert told.startswith("served: state.db was replaced or removed while this server ran:")
    server.wait_for("served", 2)
    count = len(server.list_told("run"))
    server.wait_for("run", count + 1)
    assert server.end() == 0
    _, runs = read_state(state)
    assert runs[-1].id in {one["run"] for one in server.list_told("run")}
    assert len(runs) < len(server.list_told("run"))


def test_a_log_that_cannot_be_written_ends_no_server(tmp_path: Path) -> None:
    write_project(tmp_path, f"scenarios:\n{describe_scenario('s', 'note', every='1s')}")
    program = [sys.executable, "-m", "engine", "serve", "served.yaml", "--listen", "127.0.0.1:0"]
    with Path("/dev/full").open("wb") as full:
        server = subprocess.Popen(program, cwd=tmp_path, stdout=full, stderr=full)
    try:
        wait_until((tmp_path / "noted.txt").exists, "nothing was run")
        assert server.poll() is None
    finally:
        server.kill()
        server.wait()


def test_what_could_not_be_printed_is_counted_when_printing_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printer, before = ServePrinter("text", verbose=False), resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "log.txt").open("w", encoding="utf-8") as log:
        monkeypatch.setattr(sys, "stderr", log)
        printer.report("a", "first")
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.tell(), before[1]))  # as on a disk that is full
        try:
            printer.report("b", "second")
            printer.report("c", "third")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        printer.report("d", "fourth")
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(" UTC ")[2] for line in (lines[0], lines[-1])] == ["first", "fourth"]
    assert lines[-2].endswith(" UTC 2 times, something could not be printed: File too large")
