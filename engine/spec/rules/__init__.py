"""The rules of a spec beyond the shape of its parts: passes over the draft of a project.

Each pass checks one subject in the whole project; it collects findings and never raises. The passes also run if the
shape has errors, on the valid parts: despite a typing error in one key, a step that does not exist is reported. The
search for unused variables is last, because the other passes mark the variables that they find.
"""

from collections.abc import Callable

from engine.spec.diagnostics import Findings
from engine.spec.rules import (
    bundles,
    channels,
    checks,
    connections,
    deployments,
    foreign_texts,
    kept_rows,
    messages,
    names,
    placeholders,
    reach,
    references,
    reporters,
    resources,
    segments,
    sql,
    statements,
    steps,
    switched_off,
    trigger_loops,
    triggers,
    typical_windows,
    variables,
)
from engine.spec.rules.draft import Draft

__all__ = ["Draft", "check_rules"]

PASSES: tuple[Callable[[Draft, Findings], None], ...] = (
    names.check_names,
    names.check_reserved_variables,
    names.check_target_names,
    names.check_custom_metrics,
    names.check_names_in_scenarios,
    references.check_declared_names,
    references.check_displayed_checks,
    references.check_attachments,
    references.check_secret_references,
    references.check_scenario_cycles,
    sql.check_queries,
    sql.check_dataset_cycles,
    sql.check_columns,
    statements.check_statements,
    statements.check_statement_connections,
    kept_rows.check_kept_places,
    kept_rows.warn_about_unnoticed_readers,
    checks.check_metrics,
    checks.check_ranges,
    segments.check_segments,
    messages.check_run_conditions,
    messages.check_message_names,
    resources.check_functions,
    resources.check_datasets,
    resources.check_models,
    resources.check_stores,
    resources.check_secrets,
    resources.check_server,
    resources.check_retention,
    connections.check_connections,
    connections.check_state,
    connections.check_withheld_state,
    connections.check_stored_data,
    channels.check_channels,
    channels.check_recipients,
    bundles.check_bundles,
    bundles.check_registry,
    reporters.check_changes,
    reporters.warn_about_silent_failures,
    steps.warn_about_checks_not_applied,
    steps.warn_about_steps_without_checks,
    steps.check_target_lists,
    steps.check_handled_warnings,
    steps.check_written_iterations,
    steps.check_promotions,
    steps.check_published_bundles,
    steps.check_written_paths,
    steps.check_cleared_datasets,
    reach.check_reach,
    triggers.check_trigger_names,
    triggers.check_crons,
    triggers.check_trigger_times,
    triggers.check_watched_data,
    typical_windows.warn_about_short_windows,
    triggers.check_trigger_variables,
    trigger_loops.check_trigger_loops,
    deployments.check_infrastructures,
    deployments.check_server_urls,
    deployments.check_replacements,
    deployments.check_deployed_secrets,
    deployments.check_update_loops,
    deployments.check_shipped_bundles,
    switched_off.warn_about_inactive_checks,
    switched_off.warn_about_inactive_triggers,
    switched_off.warn_about_inactive_steps,
    placeholders.check_placeholders,
    foreign_texts.warn_about_foreign_quotes,
    foreign_texts.warn_about_foreign_references,
    variables.check_scenario_variables,
    variables.check_keys,
    variables.warn_about_dates,
    variables.warn_about_unused,
)


def check_rules(draft: Draft, findings: Findings) -> None:
    """Run every pass over the draft and add its findings."""
    for rule in PASSES:
        rule(draft, findings)
