"""Rules of single steps: lists of targets, warnings that count as failures, files that steps write or remove."""

from pathlib import Path

from engine.discovery.file_endings import ENDINGS, detect_format
from engine.discovery.path_patterns import names_file
from engine.formatting.lists import join_alternatives
from engine.spec.dataset_inputs import list_read_datasets
from engine.spec.diagnostics import Findings
from engine.spec.resources.checks import select_active_checks
from engine.spec.resources.connections import FilesConnection
from engine.spec.resources.models import TrainModel
from engine.spec.resources.scenarios import (
    BuildStep,
    ClearStep,
    CreateBundleStep,
    ExportStep,
    PromoteStep,
    ReportStep,
    RunChecksStep,
)
from engine.spec.rules.connections import check_written_place
from engine.spec.rules.draft import Draft, locate_path
from engine.spec.rules.resources import COMPARED, list_model_differences
from engine.spec.stored_data import find_file_dataset, find_kept_place, find_table
from engine.spec.validation.validator import SpecPath
from engine.spec.variables.references import find_references


def check_target_lists(draft: Draft, findings: Findings) -> None:
    """Check that no step names a target twice."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            for j, name in enumerate(step.targets):
                if (first := step.targets.index(name)) != j:
                    path = ("scenarios", scenario, "steps", i, "target")
                    message = f'"{name[:60]}" is already listed'
                    also = draft.value_position(*path, first)
                    findings.error(draft.value_position(*path, j), "duplicate-name", message, "remove it", also=also)


def check_handled_warnings(draft: Draft, findings: Findings) -> None:
    """Check that no step ignores failures but fails on warnings."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            if step.on_warning == "fail" and step.on_failure == "warn":
                at = draft.key_position("scenarios", scenario, "steps", i, "on_warning")
                message = "with on_failure: warn, a WARNING would make this step FAILED and a failure only WARNING"
                findings.error(at, "on-warning", message, "remove on_failure: warn or on_warning: fail")


def check_written_iterations(draft: Draft, findings: Findings) -> None:
    """Warn of a file or table that each iteration of `for_each` replaces."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            if not isinstance(step, ExportStep | ReportStep) or len(spec.for_each or ()) < 2:
                continue
            for key in ("path", "table"):
                path = ("scenarios", scenario, "steps", i, key)
                place = draft.scalar_text(*path)
                if place is not None and not find_references(place):
                    message = f'each iteration of for_each overwrites "{place[:60]}", so only the last one remains'
                    help_ = "use a variable of the iteration in the name: ${…}"
                    findings.warning(draft.value_position(*path), "two-writers", message, help_)


def check_promotions(draft: Draft, findings: Findings) -> None:
    """Check that a candidate can replace a model, and that no training overwrites it there."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            if isinstance(step, PromoteStep):
                _check_promotion(draft, findings, step, ("scenarios", scenario, "steps", i))


def _check_promotion(draft: Draft, findings: Findings, step: PromoteStep, path: SpecPath) -> None:
    at = draft.value_position(*path, "candidate")
    if step.candidate == step.model:
        message = f'"{step.model[:60]}" cannot replace itself'
        findings.error(at, "promotion", message, "use another model, trained on newer data")
        return
    declared = {
        key: draft.spec.models.get(name) for key, name in (("model", step.model), ("candidate", step.candidate))
    }
    for key, model in declared.items():
        if model is not None and not isinstance(model, TrainModel):
            name = getattr(step, key)
            message = f'"{name[:60]}" is a model of kind {model.kind}, which has no versions in the engine'
            also = draft.key_position("models", name)
            findings.error(
                draft.value_position(*path, key), "promotion", message, "use a model of kind train", also=also
            )
    if not all(isinstance(model, TrainModel) for model in declared.values()):
        return
    for key, difference in list_model_differences(step.candidate, step.model, draft, (*COMPARED, "algorithm")):
        also = draft.value_position("models", step.candidate, key)
        message = f"{difference}: one cannot replace the other"
        findings.error(at, "promotion", message, f"give both the same {key}", also=also)
    if not getattr(declared["model"], "frozen", False):
        message = f'"{step.model[:60]}" is not frozen, so a build would overwrite the promoted version'
        also = draft.key_position("models", step.model)
        findings.error(draft.value_position(*path, "model"), "promotion", message, "add frozen: true there", also=also)


def check_published_bundles(draft: Draft, findings: Findings) -> None:
    """Check that there is a registry where a step publishes a bundle."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            if isinstance(step, CreateBundleStep) and step.publish and draft.find_node("registry") is None:
                at = draft.key_position("scenarios", scenario, "steps", i, "publish")
                message = "the spec has no registry to publish the bundle in"
                findings.error(at, "needs-key", message, "add registry: {path: FOLDER}, or remove publish: true")


def warn_about_checks_not_applied(draft: Draft, findings: Findings) -> None:
    """Warn about stores whose checks no step applies: a build measures a store, but does not check it."""
    steps = [step for scenario in draft.spec.scenarios.values() for step in scenario.steps]
    checked = {target for step in steps if isinstance(step, RunChecksStep) for target in step.targets}
    built = {target for step in steps if isinstance(step, BuildStep) for target in step.targets}
    for name, store in draft.spec.evaluation_stores.items():
        if name in built - checked and select_active_checks(store.checks):
            at = draft.key_position("evaluation_stores", name, "checks")
            message = f'no step applies the checks of "{name[:60]}": a build step only computes metrics'
            findings.warning(at, "checks-not-applied", message, "add a step of kind run_checks after the build")


def warn_about_steps_without_checks(draft: Draft, findings: Findings) -> None:
    """Warn about a step that applies the checks of a resource without checks: its SUCCESS means nothing."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            if not isinstance(step, RunChecksStep) or not step.active:
                continue
            for place, target in enumerate(step.targets):
                if not _has_checks(target, draft):
                    of_list = (place,) if isinstance(step.target, list) else ()
                    at = draft.value_position("scenarios", scenario, "steps", i, "target", *of_list)
                    message = f'"{target[:60]}" has no active checks, so this step applies none'
                    findings.warning(at, "no-checks", message, "declare checks under its key checks:")


def _has_checks(target: str, draft: Draft) -> bool:
    """Return whether a store has checks, or a dataset or one of its inputs has checks or a contract.

    A check with an error in its declaration counts.
    """
    spec = draft.spec
    section = "datasets" if target in spec.datasets else "evaluation_stores"
    resource = getattr(spec, section).get(target)
    if resource is None or draft.declared_names(section, target, "checks") != list(resource.checks):
        return True
    if section == "evaluation_stores":
        return bool(select_active_checks(resource.checks))
    made_of = [spec.datasets[name] for name in list_read_datasets(target, spec)]
    return any(one.columns or select_active_checks(one.checks) for one in made_of)


def check_written_paths(draft: Draft, findings: Findings) -> None:
    """Check the files and tables that steps write: where, in which format, and that no step reads what it writes."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            path = ("scenarios", scenario, "steps", i)
            if isinstance(step, ExportStep):
                _check_export_place(draft, findings, step, path)
                _check_table_loop(draft, findings, step, path)
            file = draft.locate_written_file(scenario, step) if isinstance(step, ReportStep | ExportStep) else None
            if file is not None and isinstance(step, ReportStep | ExportStep):
                connection = getattr(step, "connection", None)
                root = draft.root_of("", connection) if connection else draft.home_of("scenarios", scenario)
                check_written_file(draft, findings, step.path or "", file, root or file, (*path, "path"))
            if file is not None and isinstance(step, ExportStep):
                _check_export_format(draft, findings, step, step.path or "", path)
                _check_loop(draft, findings, file, step, path)


def check_written_file(draft: Draft, findings: Findings, written: str, file: Path, root: Path, path: SpecPath) -> None:
    """Check that a file may be written.

    Parameters
    ----------
    written, file
        Its path as declared, with variables filled in, and the absolute one.
    root
        The folder to which the path is relative.
    path
        The path in the spec of the text that names the file.
    """
    at = draft.value_position(*path)
    state = locate_path(draft.files.home, draft.spec.state.path)
    if not written.strip() or file == locate_path(root, ""):
        findings.error(at, "path", "the path is empty", "write the name of a file")
    elif file.is_relative_to(state):
        findings.error(at, "path", f'"{written[-60:]}" is in the folder of the state', "write to another folder")
    elif file in [locate_path(one, "") for one in draft.files.paths]:
        findings.error(at, "path", f'"{written[-60:]}" is a file of this spec', "write another file")
    elif find_references(draft.scalar_text(*path) or "") and not file.is_relative_to(locate_path(root, "")):
        message = f'"{written[-60:]}" is outside of the folder of the spec, but a path with a variable must stay inside'
        findings.error(at, "path", message, "use no variables in the part that leads outside, or write another path")


def _check_export_place(draft: Draft, findings: Findings, step: ExportStep, path: SpecPath) -> None:
    """Check that an export names the file or the table that its connection needs, and no other."""
    if step.connection is not None:
        check_written_place(draft, findings, step.connection, step.path, step.table, path)
        declared = draft.spec.connections.get(step.connection)
        if declared is not None and not isinstance(declared, FilesConnection):
            for key in ("format", "csv"):
                if key in step.model_fields_set:
                    message = f"{key} is only for files, but this writes a table"
                    findings.error(draft.key_position(*path, key), "format", message, "remove it")
    elif step.path is None:
        message = 'key "path" is missing'
        findings.error(draft.key_position(*path), "missing-key", message, "add path, or connection and table")
    elif step.table is not None:
        message = "a table needs the connection to its database"
        findings.error(draft.key_position(*path, "table"), "needs-key", message, "add connection: <name>")


def _check_export_format(draft: Draft, findings: Findings, step: ExportStep, written: str, path: SpecPath) -> None:
    ending = ENDINGS.get(Path(written).suffix.lower())
    if step.format is None and ending is None and written.strip():
        endings = join_alternatives(dict.fromkeys(ENDINGS))
        how = " is for compressed files" if detect_format(written) else " is not a format that can be written"
        at = draft.value_position(*path, "path")
        message = f'the file extension of "{written[-60:]}"{how}'
        findings.error(at, "format", message, f"use one of {endings}, or add format:")
    elif "csv" in step.model_fields_set and (step.format or ending) != "csv":
        message = f"csv settings are only for CSV files, but this is a {step.format or ending} file"
        findings.error(draft.key_position(*path, "csv"), "format", message, "remove them, or write format: csv")
    separator = step.csv.separator
    if not separator.isascii() or separator in '"\r\n':
        at = draft.value_position(*path, "csv", "separator")
        findings.error(
            at, "csv", f"{separator!r} cannot be the separator of fields", 'write one ASCII character, such as ";"'
        )


def _check_loop(draft: Draft, findings: Findings, file: Path, step: ExportStep, path: SpecPath) -> None:
    """Check that a dataset is not written to one of its input files: it would change with every run."""
    for name in list_read_datasets(step.dataset, draft.spec):
        if (place := draft.locate_dataset(name)) and names_file(place, file):
            also = draft.value_position("datasets", name, "path")
            message = f'the dataset "{name[:60]}" would read the file that is exported from it'
            at = draft.value_position(*path, "path")
            findings.error(at, "cycle", message, "write to another folder, or use another name", also=also)
        elif draft.locate_kept_file(name) == file:
            _report_kept_place(draft, findings, name, (*path, "path"))


def _check_table_loop(draft: Draft, findings: Findings, step: ExportStep, path: SpecPath) -> None:
    """Check that a dataset is not written to one of its input tables, or to a table of kept rows."""
    if step.connection is None or step.table is None:
        return
    for name in list_read_datasets(step.dataset, draft.spec):
        if find_table(draft.spec.datasets[name], draft.spec.connections) == (step.connection, step.table):
            also = draft.value_position("datasets", name, "table")
            message = f'the dataset "{name[:60]}" would read the table that is exported from it'
            at = draft.value_position(*path, "table")
            findings.error(at, "cycle", message, "write to another table", also=also)
    for name, dataset in draft.spec.datasets.items():
        if find_kept_place(dataset, draft.spec.connections) == (step.connection, "table", step.table):
            _report_kept_place(draft, findings, name, (*path, "table"))


def _report_kept_place(draft: Draft, findings: Findings, name: str, path: SpecPath) -> None:
    also = draft.key_position("datasets", name, "materialize")
    message = f'the rows of the dataset "{name[:60]}" are already stored there'
    findings.error(draft.value_position(*path), "two-writers", message, "write to another place", also=also)


def check_cleared_datasets(draft: Draft, findings: Findings) -> None:
    """Check that only files inside the folder of the spec are removed."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, step in enumerate(spec.steps):
            dataset = draft.spec.datasets.get(step.target) if isinstance(step, ClearStep) else None
            if dataset is None or not isinstance(step, ClearStep):
                continue
            at = draft.value_position("scenarios", scenario, "steps", i, "target")
            also = draft.key_position("datasets", step.target)
            files = find_file_dataset(dataset, draft.spec.connections)
            if files is None:
                message = f'"{step.target[:60]}" is a dataset of kind {dataset.kind}, which has no files to remove'
                if find_table(dataset, draft.spec.connections):
                    message = f'"{step.target[:60]}" reads a table of a database, and has no files to remove'
                findings.error(at, "path", message, "use a dataset that reads files", also=also)
            elif files.pick == "newest":
                message = f'"{step.target[:60]}" picks the newest of its files, so it is not clear which to remove'
                help_ = "to remove all of them, use a dataset with the same path and without pick"
                findings.error(at, "path", message, help_, also=also)
            elif (place := draft.locate_dataset(step.target)) is not None:
                folder = locate_path(draft.files.home, "")
                if not place.is_relative_to(folder) or place == folder:
                    what = "is the folder of the spec itself" if place == folder else "is not in the folder of the spec"
                    message = f'the path of "{step.target[:60]}" {what}, so its files are not removed'
                    findings.error(
                        at,
                        "path",
                        message,
                        "remove them in another way, or move them into the folder of the spec",
                        also=also,
                    )
