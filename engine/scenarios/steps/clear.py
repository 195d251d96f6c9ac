"""Step `clear`: removes the files of a dataset, all of which must lie in the folder of the spec."""

from collections.abc import Collection, Sequence
from os.path import normpath, relpath
from pathlib import Path

from engine.discovery.listing import list_named_files
from engine.errors import DataError
from engine.formatting.numbers import format_count
from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.decision import Decision
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec import ProjectSpec
from engine.spec.resources.scenarios import ClearStep
from engine.spec.stored_data import find_file_dataset

LISTED_FILES = 100
"""Most files that a plan and the result of a step list; further files are only counted."""


def run(step: ClearStep, context: RunContext) -> StepResult:
    """Remove the files; a dry run and a plan only list them.

    Raises
    ------
    DataError
        A file must not be removed, and then none is; or a file cannot be removed.
    """
    files = _list_removable(step.target, context.project)
    total = sum(file.stat().st_size for file in files)
    count = f"{format_count(len(files), 'file')}, {total:,} bytes"
    names = [relpath(file, context.project.home) for file in files]
    more = [f"and {len(names) - LISTED_FILES:,} more"] if len(names) > LISTED_FILES else []
    action = Action(
        kind="remove",
        target=step.target,
        because="always" if files else "never",
        reason=count if files else "there are no files",
        notes=[*names[:LISTED_FILES], *more],
    )
    done = StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS)

    def execute() -> StepResult:
        if not files:
            return done.model_copy(update={"reason": "there are no files to remove"})
        if context.mode != "run":
            return done.model_copy(update={"reason": f"would remove {count}; a {context.mode} does not"})
        _remove_files(files, context)
        return done.model_copy(update={"reason": f"removed {count}"})

    return Decision(action, execute, lambda: done).apply(context)


def _list_removable(name: str, project: ProjectSpec) -> list[Path]:
    """Return the files of a dataset; raise a DataError if one may not be removed."""
    # A dataset that keeps its rows has files too; if they are removed, the rows are written again.
    dataset = find_file_dataset(project.datasets.get(name), project.connections)
    if dataset is None:
        raise DataError(f"dataset {name!r} has no files to remove")
    folder = project.home.absolute()
    root = project.root_of("datasets", name, dataset.connection)
    try:
        files = [Path(normpath(file)) for file in list_named_files(root.absolute() / dataset.path, dataset.format)]
    except OSError as error:
        raise DataError(f"nothing is removed, because {error.filename} cannot be read: {error.strerror}") from error
    own = {file.resolve() for file in project.files}
    state = (folder / project.state.path).resolve()
    for file in files:
        if why := _explain_refusal(file, folder, own, state):
            raise DataError(f"nothing is removed, because {file} must not be removed: {why}")
    return files


def _explain_refusal(file: Path, folder: Path, own: Collection[Path], state: Path) -> str:
    """Return why a file may not be removed; an empty text if it may."""
    real = file.resolve()
    if not file.is_relative_to(folder):
        return f"it is not in {folder}"
    if real != folder.resolve() / file.relative_to(folder):
        return "it is a symbolic link, or is reached through one"
    if real in own or real.is_relative_to(state):
        return "it belongs to the spec or to the state"
    return "" if file.is_file() else "it is not a regular file"


def _remove_files(files: Sequence[Path], context: RunContext) -> None:
    for number, file in enumerate(files):
        try:
            file.unlink()
        except FileNotFoundError:
            continue  # removed by somebody else meanwhile
        except OSError as error:
            raise DataError(
                f"{file} cannot be removed: {error.strerror or error}; {number:,} of {len(files):,} files were removed"
            ) from error
        context.log.info(f"removed {relpath(file, context.project.home)}")
