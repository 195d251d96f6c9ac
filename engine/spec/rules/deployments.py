"""Rules of infrastructures and deployments: replaced resources exist, and no update starts itself."""

from collections.abc import Iterator
from pathlib import Path

from engine.errors import Position
from engine.formatting.hints import did_you_mean
from engine.formatting.numbers import format_count
from engine.spec.diagnostics import Findings
from engine.spec.resources.deployments import NodeInfrastructure
from engine.spec.resources.scenarios import CreateBundleStep, RunScenarioStep, UpdateDeploymentStep
from engine.spec.rules.draft import Draft
from engine.spec.rules.references import describe_section, list_iterated_children
from engine.spec.rules.resources import check_address

REPLACED = ("variables", "connections", "channels", "secrets", "scenarios")
"""The settings of a deployment whose names must exist in the spec."""


def check_infrastructures(draft: Draft, findings: Findings) -> None:
    """Check that as many keys are trusted as signatures are required, and the addresses of nodes."""
    for name, infrastructure in draft.spec.infrastructures.items():
        if isinstance(infrastructure, NodeInfrastructure):
            check_address(infrastructure.url, draft.value_position("infrastructures", name, "url"), findings)
        elif infrastructure.require > len(infrastructure.trusted_keys):
            at = draft.value_position("infrastructures", name, "require")
            report_missing_keys(at, infrastructure.require, len(infrastructure.trusted_keys), findings)


def report_missing_keys(at: Position, require: int, count: int, findings: Findings) -> None:
    """Report that more signatures are required than the `count` keys that are trusted."""
    message = f"require is {require}, but trusted_keys lists {format_count(count, 'key') if count else 'no keys'}"
    findings.error(at, "needs-key", message, "add keys under trusted_keys, or require fewer")


def check_replacements(draft: Draft, findings: Findings) -> None:
    """Check that the settings of a deployment are declared, and that nothing replaces itself."""
    for name in draft.spec.deployments:
        for section in REPLACED:
            for own in draft.declared_names("deployments", name, section):
                at = draft.key_position("deployments", name, section, own)
                known = draft.declared_names(section)
                if own not in known:
                    message = f'"{own[:60]}" is not the name of {describe_section(section)}'
                    help_ = did_you_mean(own, known, "the names are") if known else f"declare it under {section}:"
                    findings.error(at, "unknown-name", message, help_)
                elif draft.scalar_text("deployments", name, section, own) == own and section in (
                    "connections",
                    "channels",
                ):
                    message = f'"{own[:60]}" cannot replace itself'
                    findings.error(at, "replacement", message, "remove it, or use another one")


def check_server_urls(draft: Draft, findings: Findings) -> None:
    """Check that the server URL of each deployment is an http or https address."""
    for name, deployment in draft.spec.deployments.items():
        if deployment.server_url is not None:
            check_address(deployment.server_url, draft.value_position("deployments", name, "server_url"), findings)


def check_deployed_secrets(draft: Draft, findings: Findings) -> None:
    """Check that each secret of a deployment has one source, and that a file is found from anywhere."""
    for name, deployment in draft.spec.deployments.items():
        for own, source in deployment.secrets.items():
            at = draft.key_position("deployments", name, "secrets", own)
            if (source.env is None) == (source.file is None):
                message = "a secret needs one source: env or file"
                findings.error(at, "secret-source", message, "write {env: NAME} or {file: /path}")
            elif source.file is not None and not Path(source.file).is_absolute():
                at = draft.value_position("deployments", name, "secrets", own, "file")
                message = f'the path "{source.file[:60]}" is relative, but a deployment runs in its own folder'
                findings.error(at, "path", message, "write an absolute path")


def check_update_loops(draft: Draft, findings: Findings) -> None:
    """Check that no scenario of a health check or a preload updates a deployment: the update would start itself."""
    for name, deployment in draft.spec.deployments.items():
        asked = [(("health", "run", i), scenario) for i, scenario in enumerate(deployment.health.run)]
        asked += [(("preload", "dry_run", i), scenario) for i, scenario in enumerate(deployment.preload.dry_run)]
        for place, scenario in asked:
            for updating in _list_updating(draft, scenario, name):
                at = draft.value_position("deployments", name, *place)
                message = f'an update of "{name[:60]}" runs "{scenario[:60]}", which updates it again'
                through = "" if updating == scenario else f' (through "{updating[:60]}")'
                help_ = "run a scenario without a step of kind update_deployment for this deployment"
                findings.error(at, "update-loop", message + through, help_)


def check_shipped_bundles(draft: Draft, findings: Findings) -> None:
    """Warn of `bundle:` in a deployment to which a scenario deploys new bundles: `engine status` would miss them."""
    for scenario, declared in draft.spec.scenarios.items():
        makes = False
        for step in declared.steps:
            makes |= step.active and isinstance(step, CreateBundleStep)
            if not (makes and step.active and isinstance(step, UpdateDeploymentStep)) or step.bundle is not None:
                continue
            deployment = draft.spec.deployments.get(step.deployment)
            if deployment is not None and deployment.bundle is not None:
                at = draft.value_position("deployments", step.deployment, "bundle")
                message = (
                    f'scenario "{scenario[:60]}" deploys its own new bundles here, which engine status then reports as '
                    "OUT_OF_SYNC"
                )
                findings.warning(at, "shipped-bundle", message, "remove bundle:, or set bundle: in the step too")


def _list_updating(draft: Draft, scenario: str, deployment: str) -> Iterator[str]:
    """Yield the scenarios, from one on, whose steps update a deployment; one for each of these steps."""
    found, todo = {scenario}, [scenario]
    while todo:
        name = todo.pop()
        declared = draft.spec.scenarios.get(name)
        for i, step in enumerate(declared.steps if declared else ()):
            if not step.active:
                continue
            if isinstance(step, UpdateDeploymentStep) and step.deployment == deployment:
                yield name
            elif isinstance(step, RunScenarioStep):
                children = {step.scenario, *list_iterated_children(draft, name, i)} - found
                found |= children
                todo += sorted(children)
