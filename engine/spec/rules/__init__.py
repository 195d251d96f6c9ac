"""What a spec must keep beyond its shape: passes over the draft of a project that collect and never raise.

Each pass looks at one matter in the whole project. They run even where the shape has errors, on what is left: a user
who mistyped one key still learns of the step that does not exist.
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
    """Run every pass."""
    for look in PASSES:
        look(draft, findings)
