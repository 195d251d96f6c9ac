"""The files of specs/scheduling.md, taken from the page, are checked and run by the programs that they are for.

Only the folder of the project is replaced. Where such a program is missing, the reason of the skip says which;
`.ci/run` installs them. Nothing touches the machine's own crontabs, units and images: each test has its own.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from engine.cli.example import NIGHTLY_SPEC

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "specs" / "scheduling.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
FILES = {body.partition("\n")[0].removeprefix("# "): body for _, body in BLOCKS if re.match(r"# \S+\n", body)}
CRON = {"HOME": "/tmp", "LOGNAME": "nobody", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
"""The environment that cron of Debian gives to a job."""

Done = subprocess.CompletedProcess[str]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may make mounts of its own")


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [one for one in programs if shutil.which(one) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)}")


def run(command: list[str] | str, folder: Path, env: Mapping[str, str] = os.environ, seconds: int = 240) -> Done:
    """Run a program, or a text as `/bin/sh -c` runs it."""
    whole = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    return subprocess.run(
        whole, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip


def yesterday(days: int = 1) -> str:
    return str(datetime.now(UTC).date() - timedelta(days=days))


def crontabs() -> list[str]:
    return [body for kind, body in BLOCKS if kind == "crontab"]


def stored_nights(state: Path, folder: Path) -> set[str]:
    """Return the names of the evaluations that a state holds."""
    shown = run(
        [sys.executable, "-m", "engine", "show", "project.yaml", "orders", "--format", "json"],
        folder,
        os.environ | {"STATE_DIRECTORY": str(state)},
    )
    assert shown.returncode == 0, shown.stderr
    return {one["name"] for one in json.loads(shown.stdout)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder that the page calls /srv/nightly, as `engine init` writes it, with the environment of these tests."""
    folder = tmp_path / "nightly"
    assert run([sys.executable, "-m", "engine", "init", str(folder), "--example", "nightly"], tmp_path).returncode == 0
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture
def in_project(project: Path) -> Callable[[str], str]:
    """Give a text of the page, with the folder of the project in place of /srv/nightly."""
    return lambda text: text.replace("/srv/nightly", str(project))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH whose python makes environments that see the packages of the tests, except engine.

    So the commands of the page install the engine itself, and download nothing else.
    """
    folder = tmp_path_factory.mktemp("python")
    folder.chmod(0o755)  # whoever the job is must be able to import them
    packages = link_packages(folder / "packages")
    for name in ("python", "python3"):
        (folder / name).write_text(
            f'#!/bin/sh\n{sys._base_executable} "$@" || exit\n[ "$1 $2" = "-m venv" ] || exit 0\n'
            f'for found in "$3"/lib/python*/site-packages; do echo {packages} >"$found/tests.pth"; done\n',
            encoding="utf-8",
        )
        (folder / name).chmod(0o755)
    return folder


def link_packages(folder: Path) -> Path:
    folder.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"engine\b|.*editable|.*\.pth$|pip\b", found.name):
            (folder / found.name).symlink_to(found)
    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is built from."""
    folder = tmp_path_factory.mktemp("checkout") / "copy"
    left_out = shutil.ignore_patterns("__pycache__", ".engine", "outbox")
    for name in ("engine", "specs"):
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def package(checkout: Path, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, written by the command that the page gives."""
    folder = tmp_path_factory.mktemp("package")
    (command,) = re.findall(r"`(pip wheel [^`]*/srv/nightly[^`]*)`", GUIDE.replace("\n", " "))
    path = f"{folder}/venv/bin:{python}:{os.environ['PATH']}"
    made = run(f"python -m venv '{folder}/venv'", folder, os.environ | {"PATH": path})
    assert made.returncode == 0, made.stderr
    made = run(command.replace("/srv/nightly", str(folder)), checkout, os.environ | {"PATH": path})
    assert made.returncode == 0, made.stderr
    (wheel,) = folder.glob("engine-*.whl")
    return wheel


def test_the_spec_of_the_page_is_the_one_of_the_example() -> None:
    assert FILES["project.yaml"] == f"# project.yaml\n{NIGHTLY_SPEC}"


@pytest.mark.slow
def test_the_five_lines_of_a_newcomer_work_in_a_fresh_checkout(checkout: Path, python: Path, tmp_path: Path) -> None:
    """`crontab` keeps the lines that it is given in a file; the line is then run as cron would run it."""
    here = Path(shutil.copytree(checkout, tmp_path / "a checkout"))
    kept = tmp_path / "kept"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "crontab").write_text(f'#!/bin/sh\n[ "$1" = - ] && cat >{kept}\n', encoding="utf-8")
    (tmp_path / "bin" / "crontab").chmod(0o755)
    lines = BLOCKS[0][1].splitlines()
    assert len(lines) == 5
    path = f"{tmp_path}/bin:{python}:{os.environ['PATH']}"
    for line in lines:
        done = run(line, here, os.environ | {"PATH": path})
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    (entry,) = kept.read_text(encoding="utf-8").splitlines()
    night = run(entry.removeprefix("30 4 * * * "), Path("/"), CRON)
    assert (night.returncode, night.stdout, night.stderr) == (0, "", "")
    assert f"evaluation {yesterday()} reused" in (here / "nightly" / "run.log").read_text(encoding="utf-8")


def test_a_line_for_cron_prints_the_end_of_the_log_if_the_night_failed(
    project: Path, in_project: Callable[[str], str]
) -> None:
    """So that cron mails it; and nothing is printed of a night without a finding."""
    line = in_project(crontabs()[0]).splitlines()[-1].removeprefix("30 4 * * * ")
    good = run(line, Path("/"), CRON)
    assert (good.stdout, good.stderr) == ("", "")
    (project / "incoming" / f"orders-{yesterday()}.csv").unlink()
    bad = run(line, Path("/"), CRON)
    assert f"there is no file incoming/orders-{yesterday()}.csv" in bad.stdout


@pytest.mark.slow
@as_root
@needs("cron", "crontab", "unshare")
def test_cron_accepts_the_crontabs_and_runs_the_job(project: Path, in_project: Callable[[str], str]) -> None:
    """A cron with a spool of its own. The job is due in each minute instead of once a night: it takes up to one."""
    table = project / "table"
    table.write_text(in_project(crontabs()[0]).replace("\n30 4 * * *", "\n* * * * *"), encoding="utf-8")
    (project / "of_docker").write_text(crontabs()[1], encoding="utf-8")
    script = """
        mount -t tmpfs none /run && mount -t tmpfs none /var/spool/cron || exit
        mkdir -m 1730 /var/spool/cron/crontabs || exit
        crontab of_docker && crontab table || exit
        cron -f & daemon=$!
        for wait in $(seq 180); do
            [ -d .engine/nightly/runs ] && grep -q '^orders$' run.log && break
            sleep 0.5
        done
        kill $daemon
    """
    done = run(["unshare", "--mount", "/bin/sh", "-c", script], project)
    assert done.returncode == 0, done.stderr
    assert f"evaluation {yesterday()}" in (project / "run.log").read_text(encoding="utf-8")
    assert stored_nights(project / ".engine", project) == {yesterday()}


class Chat(ThreadingHTTPServer):
    """A chat that keeps what is posted to it."""

    def __init__(self) -> None:
        self.received: list[str] = []
        super().__init__(("127.0.0.1", 0), ChatRequest)


class ChatRequest(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


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
    project: Path, in_project: Callable[[str], str], chat: Chat, tmp_path: Path
) -> None:
    """ProtectSystem=strict in a mount namespace, with the variables that systemd sets."""
    unit = read_unit("nightly.service", in_project)
    state, cache, credentials, private_tmp = (tmp_path / name for name in ("state", "cache", "credentials", "tmp"))
    for folder in (state, cache, credentials, private_tmp):
        folder.mkdir()
    (credentials / "chat_url").write_text(f"json://127.0.0.1:{chat.server_port}/\n", encoding="utf-8")
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
    assert "there is no file" in chat.received[0]
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == ["1 2 4"]

    (repeat,) = re.findall(r"^runuser -u nightly -- (.*)$", in_project(GUIDE), re.MULTILINE)
    (project / "incoming" / "orders-2026-11-26.csv").write_bytes((project / "usual.csv").read_bytes())
    del variables["CREDENTIALS_DIRECTORY"]  # systemd does not start this one
    again = start(repeat.replace("/var/lib/nightly", str(state)))
    assert again.returncode == 0, again.stdout + again.stderr
    assert stored_nights(state, project) == {yesterday(), "2026-11-26"}


@pytest.mark.parametrize(
    ("name", "schema"),
    [("compose.yaml", "vendor.compose-spec"), (".github/workflows/nightly.yaml", "vendor.github-workflows")],
)
def test_a_file_fits_the_schema_of_the_program_that_reads_it(name: str, schema: str, tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(FILES[name], encoding="utf-8")
    checked = run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, "file.yaml"], tmp_path)
    assert checked.returncode == 0, checked.stdout
    assert "ok" in checked.stdout


@pytest.mark.slow
def test_the_workflow_runs_in_a_fresh_clone(package: Path, project: Path, python: Path, tmp_path: Path) -> None:
    """Each `run:` in its order, with bash as on GitHub. The folder of the state is kept from one clone to the next."""
    (job,) = yaml.safe_load(FILES[".github/workflows/nightly.yaml"])["jobs"].values()
    state = tmp_path / "kept"
    for night, as_of in enumerate(["", yesterday(0)]):
        clone = tmp_path / f"clone {night}"
        shutil.copytree(project, clone, ignore=shutil.ignore_patterns(".venv"))
        shutil.copy(package, clone)
        for step in job["steps"]:
            if "run" not in step:
                if step["uses"].startswith("actions/cache/"):
                    source, target = (state, clone) if "restore" in step["uses"] else (clone, state)
                    if (source / step["with"]["path"]).exists():
                        shutil.copytree(
                            source / step["with"]["path"], target / step["with"]["path"], dirs_exist_ok=True
                        )
                continue
            values = {"${{ secrets.CHAT_URL }}": "", "${{ inputs.as_of }}": as_of}
            given = {name: values[value] for name, value in step.get("env", {}).items()}
            path = f"{python}:{os.environ['PATH']}"
            done = run(["bash", "-e", "-c", step["run"]], clone, os.environ | {"PATH": path} | given)
            assert done.returncode == 0, f"{step['run']}\n{done.stdout}{done.stderr}"
    _, second = sorted((state / ".engine" / "nightly" / "runs").glob("*/log.txt"))
    assert "reused" in second.read_text(encoding="utf-8")
    assert stored_nights(state / ".engine", project) == {yesterday()}


Buildah = Callable[..., Done]


@pytest.fixture
def buildah(tmp_path: Path, python: Path) -> Iterator[Buildah]:
    """A buildah with images of its own, among them one that stands in for python:3.13-slim.

    It has the programs and libraries of this machine, the Python of the tests, and their packages except engine.
    """
    base = tmp_path / "base"
    for name in ("tmp", "root", "usr/local", "etc", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (base / name).mkdir(parents=True)
    (base / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        (base / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "shadow", "login.defs"):
        shutil.copy(f"/etc/{name}", base / "etc" / name)
    made = run([str(python / "python"), "-m", "venv", str(base / "usr/local")], tmp_path)
    assert made.returncode == 0, made.stderr
    for script in (base / "usr/local/bin").glob("pip*"):
        script.write_text(re.sub("^#!.*", "#!/usr/local/bin/python3", script.read_text(encoding="utf-8")))
    text = "FROM scratch\nCOPY base /\nENV PATH=/usr/local/bin:/usr/bin:/usr/sbin\n"
    (tmp_path / "base.Dockerfile").write_text(text, encoding="utf-8")
    shared = {"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", sys.base_prefix, sys.prefix, str(python)} - {"/usr"}

    def call(command: str, *arguments: str | Path) -> Done:
        whole = ["buildah", "--root", f"{tmp_path}/images", "--runroot", f"{tmp_path}/runs", "--storage-driver", "vfs"]
        whole += [command]
        if command != "inspect":
            whole += ["--isolation", "chroot", *(part for one in shared for part in ("-v", f"{one}:{one}:ro"))]
        return run([*whole, *map(str, arguments)], tmp_path)

    made = call("bud", "-q", "-t", "docker.io/library/python:3.13-slim", "-f", "base.Dockerfile", ".")
    assert made.returncode == 0, made.stderr
    yield call
    shutil.rmtree(tmp_path / "images")


@pytest.mark.slow
@as_root
@needs("buildah")
def test_the_image_is_built_and_runs_the_night_without_being_root(
    buildah: Buildah, project: Path, package: Path, tmp_path: Path
) -> None:
    (project / ".venv").unlink()
    shutil.copy(package, project)
    for name in ("Dockerfile", ".dockerignore"):
        (project / name).write_text(FILES[name], encoding="utf-8")
    built = buildah("bud", "--pull-never", "--network", "host", "-t", "nightly", project)
    assert built.returncode == 0, built.stdout + built.stderr
    config = json.loads(buildah("inspect", "--type", "image", "nightly").stdout)["OCIv1"]["config"]
    assert config["User"] == "nightly"

    service = yaml.safe_load(FILES["compose.yaml"])["services"]["nightly"]
    assert service["volumes"] == [".:/project:ro", "state:/state"]
    (state := tmp_path / "volume").mkdir()
    os.chown(state, 10001, 10001)  # a new volume belongs to the owner of the folder in the image
    assert buildah("from", "--pull-never", "--name", "once", "nightly").returncode == 0

    def start(arguments: list[str]) -> Done:
        return buildah("run", "-v", f"{project}:/project:ro", "-v", f"{state}:/state", "once", "--",
                       *config["Entrypoint"], *arguments)  # fmt: skip

    night = start(config["Cmd"])
    assert night.returncode == 0, night.stdout + night.stderr
    assert (state / "nightly").stat().st_uid == 10001
    assert stored_nights(state, project) == {yesterday()}
    (repeat,) = re.findall(r"`docker compose run --rm -T nightly (run [^`]*)`", GUIDE.replace("\n", " "))
    again = start(shlex.split(repeat))
    assert again.returncode == 3, again.stdout + again.stderr
    assert "there is no file incoming/orders-2026-11-26.csv" in again.stdout
    shown = start(["show", "project.yaml"])
    assert yesterday() in shown.stdout, shown.stderr


@needs("docker")
def test_compose_understands_its_file(project: Path) -> None:
    if run(["docker", "compose", "version"], project).returncode:
        pytest.skip("this docker has no compose")
    (project / "compose.yaml").write_text(FILES["compose.yaml"], encoding="utf-8")
    understood = run(["docker", "compose", "config", "--quiet"], project)
    assert understood.returncode == 0, understood.stderr


@pytest.mark.slow
@pytest.mark.skipif("ENGINE_TEST_AIRFLOW" not in os.environ, reason="needs ENGINE_TEST_AIRFLOW, an Airflow's python")
def test_airflow_runs_the_dag_for_the_logical_date_and_repeats_only_what_could_not_run(
    project: Path, in_project: Callable[[str], str], tmp_path: Path
) -> None:
    """Three nights: one that is good, one without a file, one with a check that is ERROR."""
    (tmp_path / "airflow" / "dags").mkdir(parents=True)
    (tmp_path / "airflow" / "dags" / "nightly.py").write_text(in_project(FILES["dags/nightly.py"]), encoding="utf-8")
    head = "".join((project / "usual.csv").read_text(encoding="utf-8").splitlines(keepends=True)[:100])
    (project / "incoming" / "orders-2026-11-26.csv").write_bytes((project / "usual.csv").read_bytes())
    (project / "incoming" / "orders-2026-11-24.csv").write_text(head, encoding="utf-8")
    command = [os.environ["ENGINE_TEST_AIRFLOW"], str(Path(__file__).with_name("run_airflow_dag.py"))]
    moments = [f"2026-11-{day}T03:30+00:00" for day in (27, 26, 25)]
    variables = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = run([*command, str(tmp_path / "airflow" / "dags"), *moments], tmp_path, os.environ | variables)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer == {
        "errors": {},
        "retries": 3,
        "state": "success",
        "calls": ["success", "retried: something could not be run", "failed: engine run ended with exit code 1"],
    }
    assert stored_nights(project / ".engine", project) == {"2026-11-26", "2026-11-24"}


@pytest.mark.slow
def test_a_step_waits_for_a_late_file(project: Path) -> None:
    """The step of the page, with seconds instead of half an hour."""
    (steps,) = (body for kind, body in BLOCKS if kind == "yaml" and body.startswith("steps:"))
    spec = project / "project.yaml"
    indented = "".join(f"    {line}\n" for line in steps.splitlines())
    text, changed = re.subn(r"    steps:\n( {6}- .*\n)+", indented, spec.read_text(encoding="utf-8"))
    assert changed == 1
    spec.write_text(text.replace("delay: 30m", "delay: 2s"), encoding="utf-8")
    late = project / "incoming" / f"orders-{yesterday()}.csv"
    (delivery := project / "delivery.csv").write_bytes(late.read_bytes())
    late.unlink()

    def deliver() -> None:
        log = project / ".engine" / "nightly" / "runs"
        while not any("there is no file" in one.read_text(encoding="utf-8") for one in log.glob("*/log.txt")):
            time.sleep(0.05)
        delivery.rename(late)

    threading.Thread(target=deliver, daemon=True).start()
    night = run([sys.executable, "-m", "engine", "run", "project.yaml"], project)
    assert night.returncode == 0, night.stdout + night.stderr
    assert "there is no file" in night.stderr
    assert stored_nights(project / ".engine", project) == {yesterday()}
