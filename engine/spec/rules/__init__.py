"""The rules of a spec beyond the shape of its parts: passes over the draft of a project.

Each pass checks one subject in the whole project; it collects findings and never raises. The passes also run if the
shape has errors, on the parts that are legal: a user who mistyped one key still learns of the step that does not exist.
The search for unused variables comes last, because the other passes mark the variables that they find.
"""

from collections.abc import Callable

from engine.spec.diagnostics import Findings
from engine.spec.rules import checks, messages, names, references, resources, sql, variables
from engine.spec.rules.draft import Draft

__all__ = ["Draft", "check"]

PASSES: tuple[Callable[[Draft, Findings], None], ...] = (
    names.legal_names,
    names.reserved_variables,
    names.one_name_one_thing,
    names.own_metrics,
    names.steps_and_reporters,
    references.declared,
    references.display,
    references.attachments,
    references.secret_texts,
    references.scenario_cycles,
    sql.queries,
    sql.dataset_cycles,
    sql.columns,
    checks.metrics,
    checks.ranges,
    messages.run_conditions,
    messages.message_names,
    resources.functions,
    resources.datasets,
    resources.models,
    resources.stores,
    resources.secrets,
    resources.server,
    resources.channels,
    resources.reporters,
    variables.set_by_scenarios,
    variables.no_references_in_keys,
    variables.typed_values,
    variables.unused,
)


def check(draft: Draft, findings: Findings) -> None:
    """Run every pass over the draft and add its findings."""
    for rule in PASSES:
        rule(draft, findings)
