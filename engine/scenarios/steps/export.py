"""Step `export`: writes a dataset into a file that appears whole or not at all."""

from pathlib import Path

from engine.data.export import check_exportable, export_table
from engine.discovery.formats import ENDINGS
from engine.errors import DataError
from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.datasets import InspectedDataset, inspect_dataset
from engine.pipeline.decision import Decision, list_sources
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.scenarios.steps.targets import judge_datasets
from engine.spec.resources.scenarios import ExportStep


def run(step: ExportStep, context: RunContext) -> StepResult:
    """Verify and check the dataset, then write it; in a dry run or a plan, only say so.

    Raises
    ------
    DataError
        The dataset cannot be read, does not keep its contract, or has values that the format cannot keep; or the file
        may not or cannot be written.
    """
    return judge_datasets(step, context, lambda: _export_dataset(step, context))


def _export_dataset(step: ExportStep, context: RunContext) -> StepResult:
    inspected = inspect_dataset(step.dataset, context)
    format_ = step.format or ENDINGS[Path(step.path).suffix.lower()]
    check_exportable(inspected.table, format_)
    path = _resolve_path(step, inspected, context)
    action = Action(
        kind="write",
        target=step.path,
        because="always",
        reason=f"dataset {step.dataset} as {format_}",
        reads=list_sources(inspected.table, context),
    )
    done = StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, reason=step.path)

    def execute() -> StepResult:
        rows = int(inspected.metrics["row_count"].value or 0)
        if context.mode != "run":
            reason = f"would write {rows:,} rows into {step.path}; a {context.mode} does not"
            return done.model_copy(update={"reason": reason})
        separator = "\t" if path.suffix.lower() == ".tsv" and "csv" not in step.model_fields_set else step.csv.separator
        size = export_table(
            inspected.table,
            path,
            format_,
            separator=separator,
            null_value=step.csv.null_value,
            verify=context.datasets.files.verify,
        )
        return done.model_copy(update={"reason": f"wrote {rows:,} rows, {size:,} bytes, into {step.path}"})

    return Decision(action, execute, lambda: done).apply(context)


def _resolve_path(step: ExportStep, inspected: InspectedDataset, context: RunContext) -> Path:
    """Return the path of the file; raise a DataError if a symbolic link leads it where it may not be written."""
    scenario = context.log.scenario
    folder = context.project.home_of("scenarios", scenario)
    path = folder / step.path
    number = [one.name for one in context.get_scenario(scenario).steps].index(step.name)
    real = path.parent.resolve() / path.name
    varies = context.project.holds_variables("scenarios", scenario, "steps", number, "path")
    if varies and not real.is_relative_to(folder.resolve()):
        raise DataError(f"{path} leads to {real}, outside of {folder}: a path with a variable must stay in it")
    if real.is_relative_to((context.project.home / context.project.state.path).resolve()):
        raise DataError(f"{path} leads to {real}, in the folder of the state")
    if path.is_dir():
        raise DataError(f"{path} is a folder")
    read = [file for table in inspected.table.lineage().values() if table.files for file in table.files.paths]
    if path.exists() and any(file.exists() and file.samefile(path) for file in read):
        raise DataError(f"{path} is a file that dataset {step.dataset!r} is read from")
    return path
