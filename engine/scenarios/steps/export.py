"""Step `export`: writes a dataset into a file, an object or a table, completely or not at all."""

from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from engine.connections.object_addresses import normalize_object_path
from engine.data.databases.kept_tables import replace_table_rows
from engine.data.databases.writing import check_column_types
from engine.data.output.export import check_exportable, export_table
from engine.data.rereadable_tables import make_rereadable
from engine.discovery.file_endings import ENDINGS
from engine.errors import DataError
from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.datasets import InspectedDataset, inspect_dataset
from engine.pipeline.decision import Decision, list_sources
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.scenarios.steps.targets import judge_datasets
from engine.spec.resources.connections import DuckdbConnection
from engine.spec.resources.scenarios import ExportStep


def run(step: ExportStep, context: RunContext) -> StepResult:
    """Verify and check the dataset, then write it; a dry run or a plan only describes this.

    Raises
    ------
    DataError
        The dataset cannot be read, violates its contract, or has values that the format cannot represent; or the file
        must not or cannot be written.
    """
    return judge_datasets(step, context, lambda: _export_dataset(step, context))


def _export_dataset(step: ExportStep, context: RunContext) -> StepResult:
    inspected = inspect_dataset(step.dataset, context)
    write = _plan_file if context.project.locate_written_file(context.log.scenario, step) else _plan_table
    if context.datasets.find_copies(step.connection) is not None:
        write = _plan_object
    target, form, execute = write(step, inspected, context)
    action = Action(
        kind="write",
        target=target,
        because="always",
        reason=f"dataset {step.dataset} as {form}",
        reads=list_sources(inspected.table, context),
    )
    done = StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, reason=target)

    def write_unless_dry() -> StepResult:
        rows = int(inspected.metrics["row_count"].value or 0)
        reason = f"would write {rows:,} rows into {target}; a {context.mode} does not"
        if context.mode == "run":
            reason = f"wrote {rows:,} rows{execute()} into {target}"
        return done.model_copy(update={"reason": reason})

    return Decision(action, write_unless_dry, lambda: done).apply(context)


def _plan_file(
    step: ExportStep, inspected: InspectedDataset, context: RunContext
) -> tuple[str, str, Callable[[], str]]:
    """Return the file that is written, its format, and the function that writes it and returns how many bytes."""
    written = step.path or ""
    format_ = step.format or ENDINGS[Path(written).suffix.lower()]
    check_exportable(inspected.table, format_)
    path = _resolve_path(step, written, inspected, context)

    return written, format_, lambda: _write_file(step, inspected, context, path, format_)


def _write_file(step: ExportStep, inspected: InspectedDataset, context: RunContext, path: Path, format_: str) -> str:
    separator = "\t" if path.suffix.lower() == ".tsv" and "csv" not in step.model_fields_set else step.csv.separator
    size = export_table(
        inspected.table,
        path,
        format_,
        separator=separator,
        null_value=step.csv.null_value,
        verify=context.datasets.files.verify,
    )
    return f", {size:,} bytes,"


def _plan_object(
    step: ExportStep, inspected: InspectedDataset, context: RunContext
) -> tuple[str, str, Callable[[], str]]:
    """Return the object that is written, its format, and the function that writes it and returns how many bytes.

    The file is written locally and uploaded when it is complete, so that no incomplete object appears.
    """
    written = normalize_object_path(step.path or "")
    format_ = step.format or ENDINGS[Path(written).suffix.lower()]
    check_exportable(inspected.table, format_)
    copies = context.datasets.find_copies(step.connection)
    assert copies is not None  # noqa: S101 - the caller has checked this
    read = [file for table in inspected.table.lineage().values() if table.files for file in table.files.paths]
    if copies.root / written in read:
        raise DataError(f"{copies.source.name(written)} is an object that dataset {step.dataset!r} is read from")

    def write() -> str:
        with context.store.folders.stage() as folder:
            file = folder / Path(written).name
            size = _write_file(step, inspected, context, file, format_)
            copies.source.upload(file, written)
        return size

    return copies.source.name(written), format_, write


def _plan_table(
    step: ExportStep, inspected: InspectedDataset, context: RunContext
) -> tuple[str, str, Callable[[], str]]:
    """Return the table that is written, the word "table", and the function that writes it."""
    assert step.connection is not None  # noqa: S101 - the rules have refused a step with neither file nor table
    assert step.table is not None  # noqa: S101
    connection, table = step.connection, step.table
    duckdb = isinstance(context.project.connections[connection], DuckdbConnection)
    check_column_types(inspected.table, duckdb=duckdb)

    def write() -> str:
        with context.store.folders.stage() as folder, make_rereadable(inspected.table, folder / "rows") as rows:
            replace_table_rows(
                context.project,
                context.secrets,
                connection,
                table,
                rows,
                lambda: Path(mkdtemp(dir=folder)),
                context.datasets.files.verify,
            )
        return ""

    return f"{table} in {connection}", "table", write


def _resolve_path(step: ExportStep, written: str, inspected: InspectedDataset, context: RunContext) -> Path:
    """Return the path of the file; raise a DataError if the step must not write there, also through symbolic links."""
    scenario = context.log.scenario
    folder = context.project.home_of("scenarios", scenario)
    if step.connection is not None:
        folder = context.project.root_of("scenarios", scenario, step.connection)
    path = context.project.check_path(folder / written, writes=True)
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
