"""Proves that a revision of a deployment can run, in a process of its own, before the revision is used.

The proofs are made in a fixed order, each under the settings of the deployment and on a copy of its state; the first
that fails ends them, because those after it need what it was to prove. Nothing is kept, and nothing is sent.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import metadata
from os.path import normpath
from pathlib import Path

from engine import __version__
from engine.bundles.engine_range import fits_range
from engine.bundles.manifest import (
    MANIFEST_FILE,
    MOST_MANIFEST_BYTES,
    PROVENANCE_FILE,
    Manifest,
    Provenance,
    decode_document,
    parse_manifest,
)
from engine.data.user_functions import load_function
from engine.errors import DeliveryError, EngineError, Severity, SpecError
from engine.formatting.lists import join_some, join_words
from engine.formatting.redacted_output import redact_standard_streams
from engine.notifications.channel_reach import find_channel_refusal
from engine.notifications.channels import describe_channel, greet_channel
from engine.outcome import Outcome
from engine.pipeline.actions import FrozenModel
from engine.pipeline.log import LogLine
from engine.pipeline.released_models import import_models, reproduce_models
from engine.scenarios.requests import LineReply, PreloadRequest, ProofReply
from engine.scenarios.scenario_selection import list_run_scenarios
from engine.scenarios.session import plan_scenarios, run_scenarios
from engine.spec import ProjectSpec, load
from engine.spec.named_functions import list_functions
from engine.spec.opened_connections import open_connection, open_object_folder, open_spark_session
from engine.spec.resources.connections import (
    Connection,
    DuckdbConnection,
    FileConnection,
    S3Connection,
    SparkConnection,
)
from engine.spec.resources.deployments import NodeInfrastructure
from engine.spec.resources.scenarios import UpdateDeploymentStep
from engine.spec.secrets import Secrets
from engine.spec.used_connections import list_used_connections
from engine.spec.variable_references import find_references
from engine.store import Store
from engine.store.state.folder import resolve_state_folder
from engine.store.state.location import locate_state
from engine.store.state.temporary_copy import copy_state

DECIDING_PACKAGES = ("scikit-learn", "skops", "numpy", "polars")
"""The packages that decide what a model computes: another major version of one is refused."""

NOT_PROVED = (
    "that data will come, what it will hold, that receivers get messages, and what a computation needs of "
    "time and memory (`preload: {dry_run: …}` computes scenarios completely)"
)


@dataclass
class Revision:
    """What the proofs share: the later ones use what the earlier ones have found."""

    request: PreloadRequest
    listen: Callable[[LogLine], None]
    manifest: Manifest
    provenance: Provenance
    stack: ExitStack
    project: ProjectSpec | None = None
    state: Path | None = None

    @property
    def loaded(self) -> ProjectSpec:
        """The project, which the first proof has loaded."""
        if self.project is None:
            raise RuntimeError("the spec was not proved valid")
        return self.project

    @property
    def shadow(self) -> Path:
        """A copy of the state of the deployment, with the models of the release in it."""
        if self.state is None:
            self.state = self.stack.enter_context(copy_state(locate_state(self.loaded)))
            Store.open(self.state).close()
            import_models(self.loaded, self.manifest, self.request.released, self.state)
        return self.state


class ProofFailed(EngineError):  # noqa: N818  (a finding, not a fault of a program)
    """A proof has failed; the text says what was found and what to do."""


def prove_revision(request: PreloadRequest, send: Callable[[FrozenModel], None]) -> None:
    """Make the proofs of a request one after the other, and send what comes of each, until one fails."""

    def listen(line: LogLine) -> None:
        if line.level != "info":
            send(LineReply(line=line))

    with ExitStack() as stack:
        manifest = parse_manifest(_read_own_file(request.released, MANIFEST_FILE))
        provenance = decode_document(Provenance, _read_own_file(request.released, PROVENANCE_FILE), "provenance")
        revision = Revision(request, listen, manifest, provenance, stack)
        for name, prove in PROOFS.items():
            try:
                send(ProofReply(name=name, text=prove(revision)))
            except (EngineError, OSError) as problem:
                text = str(problem) if isinstance(problem, EngineError) else f"{type(problem).__name__}: {problem}"
                secrets = None if revision.project is None else Secrets(revision.project, os.environ)
                send(ProofReply(name=name, problem=secrets.redact(text) if secrets else text))
                return
        send(ProofReply(name="not proved", text=NOT_PROVED))


def _read_own_file(release: Path, name: str) -> bytes:
    with (release / name).open("rb") as file:
        return file.read(MOST_MANIFEST_BYTES)


# --- the proofs, in order


def prove_spec(revision: Revision) -> str:
    """Prove that the spec is valid under the settings of the deployment, for this version of the engine."""
    if not fits_range(__version__, revision.manifest.engine):
        raise ProofFailed(
            f"the bundle needs engine {revision.manifest.engine}, but this is engine {__version__}: install a version "
            "that fits, or deploy another bundle"
        )
    revision.project = load(revision.request.spec)
    redact_standard_streams(Secrets(revision.project, os.environ).redact)
    told = _count(len(revision.project.warnings), "warning")
    return f"the spec is valid, with {told}" if revision.project.warnings else "the spec is valid"


def prove_secrets(revision: Revision) -> str:
    """Prove that each secret has a value that must have one, or without which a connection cannot be opened."""
    project = revision.loaded
    secrets = Secrets(project, os.environ)
    needed = _list_needed_connections(project)
    of_connections = _list_secrets(text for one in needed.values() for text in _list_logins(one))
    # Tokens of nodes and the key of the registry are for whoever deploys, unless something else needs them too, or a
    # step deploys from here.
    tokens = [one.token for one in project.resources.infrastructures.values() if isinstance(one, NodeInfrastructure)]
    registry = project.resources.registry
    if registry is not None and registry.connection is not None:
        tokens += _list_logins(project.connections[registry.connection])
    to_deploy = set() if _deploys(project) else _list_secrets(tokens)
    required = [
        name
        for name, secret in project.secrets.items()
        if name in of_connections or not (secret.optional or name in to_deploy)
    ]
    absent = [name for name in required if secrets.list_absent(f"${{secret.{name}}}")]
    if absent:
        places = {name: project.secrets[name] for name in absent}
        found = [f"{name} ({f'variable {one.env}' if one.env else f'file {one.file}'})" for name, one in places.items()]
        if project.confinement is not None:
            where = f"give it in {project.confinement.node_file} under secrets:"
            raise ProofFailed(f"without a value: {join_words(absent, 'and')}; {where}")
        raise ProofFailed(
            f"without a value: {join_words(found, 'and')}; provide it, or say under `secrets:` of the deployment where "
            "it is found"
        )
    return f"{_count(len(required), 'secret')} with a value" if required else "no secrets are needed"


def _deploys(project: ProjectSpec) -> bool:
    """Return whether a step of a scenario deploys."""
    steps = (step for scenario in project.scenarios.values() for step in scenario.steps)
    return any(isinstance(step, UpdateDeploymentStep) for step in steps)


def prove_code(revision: Revision) -> str:
    """Prove that each function that the spec names may run here, and can be imported from the release."""
    project, names = revision.loaded, set[str]()
    included = set(revision.manifest.datasets)
    found = [one for one in list_functions(project) if one[0] != "datasets" or one[1] not in included]
    _prove_allowed(project, found)
    for section, name, function in found:
        load_function(project.code_of(section, name), function)
        names.add(function)
    code = [path for path, file in revision.manifest.files.items() if file.role == "code"]
    return f"{_count(len(names), 'function')} of {join_some(code)} can be imported" if names else "no code is needed"


def _prove_allowed(project: ProjectSpec, functions: list[tuple[str, str, str]]) -> None:
    """Prove that all code that the spec names runs here: functions, programs, and types that run code when loaded."""
    code = [*functions]
    code += [("channels", name, one.argv[0]) for name, one in project.channels.items() if one.kind == "command"]
    code += [("models", name, "allow:") for name, one in project.models.items() if one.kind == "skops" and one.allow]
    refused: dict[str, list[str]] = {}
    for section, name, what in code:
        if refusal := project.find_code_refusal(section, name):
            refused.setdefault(refusal, []).append(f"{what} of {section}: {name}")
    if refused:
        raise ProofFailed("; ".join(f"{join_some(named)}: {refusal}" for refusal, named in refused.items()))


def prove_packages(revision: Revision) -> str:
    """Prove that the packages which decide what models compute have the major version that they had."""
    if not revision.manifest.models:
        return "no model depends on packages"
    other = []
    for package in DECIDING_PACKAGES:
        then = revision.provenance.packages.get(package)
        now = metadata.version(package)
        if then is None or then == now:
            continue
        other.append(f"{package} {now} instead of {then}")
        if then.partition(".")[0] != now.partition(".")[0]:
            raise ProofFailed(
                f"the models were made with {package} {then}, but this is {package} {now}: install that major version, "
                "or pack a bundle with models that this version has trained"
            )
    return f"{join_words(other, 'and')}: whether models give the same scores is proved below" if other else "the same"


def prove_connections(revision: Revision) -> str:
    """Prove that each connection answers that the deployment reads from or writes to."""
    project = revision.loaded
    connections = _list_needed_connections(project)
    for name, connection in connections.items():
        try:
            _try_connection(project, name, connection)
        except (EngineError, OSError) as problem:
            said = (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)
            raise ProofFailed(
                f"{name}: {said}; mend it, or put another one in its place under `connections:` of the deployment"
            ) from None
    return join_words(connections) if connections else "no connections are needed"


def _list_logins(connection: Connection) -> list[str]:
    """Return the texts of a connection in which secrets may be."""
    keys = ("url", "access_key", "secret_key", "session_token")
    options: dict[str, str] = getattr(connection, "options", {})
    return [*(getattr(connection, key, None) or "" for key in keys), *options.values()]


def _list_secrets(texts: Iterable[str]) -> set[str]:
    """Return the names of the secrets that texts refer to."""
    return {one.parts[1] for text in texts for one in find_references(text) if one.parts[:1] == ("secret",)}


def _list_needed_connections(project: ProjectSpec) -> dict[str, Connection]:
    used = {*list_used_connections([project.datasets, project.models, project.scenarios, project.state])}
    return {name: one for name, one in project.connections.items() if name in used}


def _try_connection(project: ProjectSpec, name: str, connection: Connection) -> None:
    folder = project.folder_of("connections", name)
    if isinstance(connection, FileConnection):
        root = folder / connection.root
        if not root.is_dir():
            raise ProofFailed(f"the folder {root} does not exist")
        next(root.iterdir(), None)  # raises if it cannot be read
    elif isinstance(connection, S3Connection):
        next(open_object_folder(project, name, Secrets(project, os.environ)).list_objects(), None)  # one page
    elif isinstance(connection, SparkConnection):
        open_spark_session(project, name, Secrets(project, os.environ))
    elif isinstance(connection, DuckdbConnection) and not (path := folder / connection.path).exists():
        if not path.parent.is_dir():  # the file itself may be made by a step
            raise ProofFailed(f"the folder {path.parent} does not exist")
    else:
        with open_connection(project, name, Secrets(project, os.environ), read_only=True):
            return


def prove_schemas(revision: Revision) -> str:
    """Prove that the data which enabled scenarios need are there, and fit contracts, features and SQL."""
    names = _list_enabled(revision)
    if not names:
        return "no scenario is enabled"
    plan = plan_scenarios(revision.loaded, names, listeners=[revision.listen], state=revision.shadow)
    errors = [one for one in plan.findings if one.severity is Severity.ERROR]
    if errors:
        raise ProofFailed(str(SpecError(tuple(errors))))
    for step in plan.all_steps():
        if step.problem and step.outcome is not Outcome.WARNING:
            raise ProofFailed(f"step {step.name!r} would fail: {step.problem}")
    return f"the data of {join_words(names, 'and')} fit"


def prove_models(revision: Revision) -> str:
    """Prove that each model of the release can be loaded, and gives the scores that it gave where it was packed."""
    if not revision.manifest.models:
        return "the release has no models"
    return reproduce_models(revision.loaded, revision.manifest, revision.request.released)


def prove_channels(revision: Revision) -> str:
    """Prove that each channel can be used; with `probe_channels`, that mail servers answer."""
    project, told = revision.loaded, []
    secrets = Secrets(project, os.environ)
    for name, channel in project.channels.items():
        try:
            if refusal := find_channel_refusal(project, name, secrets):
                raise DeliveryError(refusal)
            text = describe_channel(channel, secrets)
            if revision.request.probe_channels:
                text += greet_channel(channel, secrets, project.folder_of("channels", name))
        except DeliveryError as problem:
            raise ProofFailed(
                f"{name}: {secrets.redact(str(problem))}; mend it, or put another one in its place under "
                "`channels:` of the deployment"
            ) from None
        told.append(f"{name}: {text}")
    return "; ".join(told) or "no channels are needed"


def prove_state(revision: Revision) -> str:
    """Prove that the state of the deployment can be written."""
    folder = resolve_state_folder(revision.loaded)
    probe = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
    except OSError as error:
        raise ProofFailed(f"{folder} cannot be written ({error.strerror}): give this user write access to it") from None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    database = locate_state(revision.loaded).open_database()
    try:
        database.prove_usable()
    finally:
        database.close()
    rows = "" if database.name == "state.db" else f", and so can {database.name}"
    return f"{normpath(folder)} can be written{rows}"


def prove_disk(revision: Revision) -> str:
    """Prove that the disk has room for twice the release."""
    size = sum(file.size for file in revision.manifest.files.values())
    free = shutil.disk_usage(revision.request.released).free
    if free < 2 * size:
        raise ProofFailed(
            f"the disk has {free / 1e6:,.0f} MB left, but twice the release are {2 * size / 1e6:,.0f} MB: free "
            "some space"
        )
    return f"{free / 1e6:,.0f} MB are free, the release has {size / 1e6:,.1f} MB"


def prove_dry_runs(revision: Revision) -> str:
    """Compute the scenarios of `dry_run` completely, without keeping or sending anything."""
    for name in revision.request.dry_run:
        finished = run_scenarios(
            revision.loaded,
            [name],
            listeners=[revision.listen],
            dry=True,
            preview=lambda _: None,
            state=revision.shadow,
        )
        for run in finished.runs:
            # A check that is ERROR makes its step FAILED, but it tells of data and not of the release.
            failed = [step for step in run.all_steps() if step.outcome in (Outcome.FAILED, Outcome.ABORTED)]
            broken = run.outcome is Outcome.FAILED and any(step.cause != "check" for step in failed)
            if broken or run.outcome is Outcome.ABORTED:
                reason = next((f": step {one.name!r}: {one.reason}" for one in failed if one.reason), "")
                raise ProofFailed(f"the dry run of {name!r} ended {run.outcome}{reason}")
    return f"{join_words(revision.request.dry_run, 'and')} ended well" if revision.request.dry_run else "none is wanted"


PROOFS: dict[str, Callable[[Revision], str]] = {
    "spec": prove_spec,
    "secrets": prove_secrets,
    "code": prove_code,
    "packages": prove_packages,
    "connections": prove_connections,
    "schemas": prove_schemas,
    "models": prove_models,
    "channels": prove_channels,
    "state": prove_state,
    "disk": prove_disk,
    "dry runs": prove_dry_runs,
}
"""The proofs, in the order in which they are made."""


def _list_enabled(revision: Revision) -> list[str]:
    """Return the scenarios that may run there without anybody: by triggers, by the health check, or by `run:`."""
    project = revision.loaded
    started = [
        name
        for name, scenario in project.scenarios.items()
        if scenario.active and any(trigger.active for trigger in scenario.triggers)
    ]
    named = [*revision.request.scenarios, *revision.request.dry_run, *started]
    return list(dict.fromkeys(named or [name for name in list_run_scenarios(project) if name in project.scenarios]))


def _count(number: int, what: str) -> str:
    """Return `1 warning`, `2 warnings`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
