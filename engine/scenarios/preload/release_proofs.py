"""Proofs about the release itself: its spec, and the secrets, code, packages and models that it needs."""

import os
from collections.abc import Iterable
from importlib import metadata

from engine import __version__
from engine.bundles.engine_range import fits_range
from engine.data.user_code.functions import load_function
from engine.formatting.lists import join_some, join_words
from engine.formatting.numbers import format_count
from engine.formatting.redacted_output import redact_standard_streams
from engine.pipeline.bundles.released_models import reproduce_models
from engine.scenarios.preload.needed_connections import list_logins, list_needed_connections
from engine.scenarios.preload.revision import ProofFailed, Revision
from engine.spec import ProjectSpec, load
from engine.spec.named_functions import list_functions
from engine.spec.resources.deployments import NodeInfrastructure
from engine.spec.resources.scenarios import UpdateDeploymentStep
from engine.spec.secrets.values import Secrets
from engine.spec.variables.references import find_references

DECIDING_PACKAGES = ("scikit-learn", "skops", "numpy", "polars")
"""The packages that the scores of a model depend on; a different major version is refused."""


def prove_spec(revision: Revision) -> str:
    """Prove that the spec is valid under the settings of the deployment, for this version of the engine."""
    if not fits_range(__version__, revision.manifest.engine):
        raise ProofFailed(
            f"the bundle needs engine {revision.manifest.engine}, but this is engine {__version__}: install such a "
            "version, or deploy another bundle"
        )
    revision.project = load(revision.request.spec)
    redact_standard_streams(Secrets(revision.project, os.environ).redact)
    warnings = format_count(len(revision.project.warnings), "warning")
    return f"the spec is valid, with {warnings}" if revision.project.warnings else "the spec is valid"


def prove_secrets(revision: Revision) -> str:
    """Prove that each secret that is required, or that a needed connection uses, has a value."""
    project = revision.loaded
    secrets = Secrets(project, os.environ)
    needed = list_needed_connections(project)
    of_connections = _list_secrets(text for one in needed.values() for text in list_logins(one))
    # Tokens of nodes and the key of the registry are needed to deploy, so they are required only if a step deploys, or
    # if something else uses them too.
    tokens = [one.token for one in project.resources.infrastructures.values() if isinstance(one, NodeInfrastructure)]
    registry = project.resources.registry
    if registry is not None and registry.connection is not None:
        tokens += list_logins(project.connections[registry.connection])
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
            f"without a value: {join_words(found, 'and')}; provide it, or declare its place under `secrets:` "
            "of the deployment"
        )
    return f"{format_count(len(required), 'secret')} with a value" if required else "no secrets are needed"


def _deploys(project: ProjectSpec) -> bool:
    """Return whether a step of a scenario updates a deployment."""
    steps = (step for scenario in project.scenarios.values() for step in scenario.steps)
    return any(isinstance(step, UpdateDeploymentStep) for step in steps)


def _list_secrets(texts: Iterable[str]) -> set[str]:
    """Return the names of the secrets that texts refer to."""
    return {one.parts[1] for text in texts for one in find_references(text) if one.parts[:1] == ("secret",)}


def prove_code(revision: Revision) -> str:
    """Prove that each function in the spec is allowed to run here and can be imported from the release."""
    project, names = revision.loaded, set[str]()
    included = set(revision.manifest.datasets)
    found = [one for one in list_functions(project) if one[0] != "datasets" or one[1] not in included]
    _prove_allowed(project, found)
    for section, name, function in found:
        load_function(project.code_of(section, name), function)
        names.add(function)
    code = [path for path, file in revision.manifest.files.items() if file.role == "code"]
    return (
        f"{format_count(len(names), 'function')} of {join_some(code)} can be imported" if names else "no code is needed"
    )


def _prove_allowed(project: ProjectSpec, functions: list[tuple[str, str, str]]) -> None:
    """Prove that all code in the spec is allowed here: functions, programs, and types that run code when loaded."""
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
    """Prove that the DECIDING_PACKAGES have the same major versions as where the bundle was packed."""
    if not revision.manifest.models:
        return "no model depends on packages"
    differences = []
    for package in DECIDING_PACKAGES:
        then = revision.provenance.packages.get(package)
        now = metadata.version(package)
        if then is None or then == now:
            continue
        differences.append(f"{package} {now} instead of {then}")
        if then.partition(".")[0] != now.partition(".")[0]:
            raise ProofFailed(
                f"the models were made with {package} {then}, but this is {package} {now}: install that major version, "
                "or pack a bundle with models that this version has trained"
            )
    if not differences:
        return "the same"
    return f"{join_words(differences, 'and')}: whether models give the same scores is proved below"


def prove_models(revision: Revision) -> str:
    """Prove that each model of the release can be loaded and gives the same scores as where it was packed."""
    if not revision.manifest.models:
        return "the release has no models"
    return reproduce_models(revision.loaded, revision.manifest, revision.request.released)
