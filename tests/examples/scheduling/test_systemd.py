"""The units of specs/scheduling.md are checked and run by systemd."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ...webhooks import WebhookService, receive_webhooks
from .guide_files import FILES, GUIDE, Done, as_root, needs, run, stored_nights, yesterday


@pytest.fixture
def chat() -> Iterator[WebhookService]:
    with receive_webhooks() as service:
        yield service


def read_unit(name: str, in_project: Callable[[str], str]) -> dict[str, list[str]]:
    """Return the settings of a unit: a list of values for each, since a setting may be repeated."""
    settings: dict[str, list[str]] = {}
    for line in in_project(FILES[f"/etc/systemd/system/{name}"]).splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting:
            settings.setdefault(key, []).append(value)
    return settings


@needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path, in_project: Callable[[str], str]) -> None:
    names = ["nightly.service", "nightly.timer", "nightly-failed.service"]
    for name in names:
        (tmp_path / name).write_text(in_project(FILES[f"/etc/systemd/system/{name}"]), encoding="utf-8")
    done = run(["systemd-analyze", "verify", *(f"./{name}" for name in names)], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (when,) = read_unit("nightly.timer", in_project)["OnCalendar"]
    calendar = run(["systemd-analyze", "calendar", "--base-time", "2026-07-01 00:00:00 UTC", when], tmp_path)
    assert "2026-07-01 02:30:00 UTC" in calendar.stdout, calendar.stderr  # 04:30 in the summer of Berlin


@pytest.mark.slow
@as_root
@needs("unshare")
def test_the_service_runs_where_only_its_state_and_cache_can_be_written(
    project: Path, in_project: Callable[[str], str], chat: WebhookService, tmp_path: Path
) -> None:
    """ProtectSystem=strict in a mount namespace, with the variables that systemd sets."""
    unit = read_unit("nightly.service", in_project)
    state, cache, credentials, private_tmp = (tmp_path / name for name in ("state", "cache", "credentials", "tmp"))
    for folder in (state, cache, credentials, private_tmp):
        folder.mkdir()
    (credentials / "chat_url").write_text(f"json://127.0.0.1:{chat.port}/\n", encoding="utf-8")
    variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "TMPDIR": str(private_tmp)}
    variables |= {"STATE_DIRECTORY": str(state), "CREDENTIALS_DIRECTORY": str(credentials)}
    for setting in unit["Environment"]:
        name, _, value = setting.partition("=")
        variables[name] = value.replace("%C/nightly", str(cache))

    def start(command: str) -> Done:
        writable = " && ".join(f"mount --bind {folder} {folder}" for folder in (state, cache, private_tmp))
        inside = f"{writable} && mount -o remount,ro,bind / || exit 99; {command}"
        folder = Path(unit["WorkingDirectory"][0])
        return run(["unshare", "--mount", "/bin/sh", "-c", inside], folder, variables)

    (command,) = unit["ExecStart"]
    night = start(command)
    assert night.returncode == 0, night.stdout + night.stderr
    assert "which is then kept for later runs" in night.stderr or "compiling" not in night.stderr
    assert stored_nights(state, project) == {yesterday()}
    assert not (project / ".engine").exists()

    (project / "incoming" / f"orders-{yesterday()}.csv").unlink()
    assert start(command).returncode == 3
    assert "there is no file" in chat.posted[0]
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == ["1 2 4"]

    (repeat,) = re.findall(r"^runuser -u nightly -- (.*)$", in_project(GUIDE), re.MULTILINE)
    (project / "incoming" / "orders-2026-11-26.csv").write_bytes((project / "usual.csv").read_bytes())
    del variables["CREDENTIALS_DIRECTORY"]  # systemd does not start this one
    again = start(repeat.replace("/var/lib/nightly", str(state)))
    assert again.returncode == 0, again.stdout + again.stderr
    assert stored_nights(state, project) == {yesterday(), "2026-11-26"}
