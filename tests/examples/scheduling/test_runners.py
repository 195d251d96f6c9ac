"""The files of specs/scheduling.md for CI, containers and Airflow are checked and run by their programs."""

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from .guide_files import FILES, GUIDE, Done, as_root, needs, run, stored_nights, yesterday


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
