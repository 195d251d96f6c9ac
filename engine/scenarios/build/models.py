"""Build a model: train a version where something that matters has changed, else use the version that is the same."""

from dataclasses import dataclass

import polars as pl

from engine import models
from engine.data import Table
from engine.evaluation.record import CheckResult
from engine.scenarios.build.datasets import inspect
from engine.scenarios.context import Context
from engine.spec.resources.models import TrainModel
from engine.store import ModelVersion

TEST_ROWS = "test.parquet"


@dataclass(frozen=True, slots=True)
class Version:
    """A model that can be loaded: its fingerprint, and its trained version if it was trained here.

    `training` is the dataset that it was trained on, `test` its held-out rows.
    """

    name: str
    fingerprint: str
    trained: ModelVersion | None = None
    training: Table | None = None
    test: Table | None = None
    reused: bool = True

    def load(self, table: Table, context: Context) -> models.FittedModel:
        """Load it, ready to score the table."""
        return models.load(context.project, self.name, table, self.trained.folder if self.trained else None)


def build(name: str, context: Context, found: list[CheckResult], *, force: bool = False) -> Version:
    """Return the model's version for the spec and the data as they are, trained first if there is none.

    What the checks of its dataset found is added to `found`.

    Raises
    ------
    DataError, ModelError
        Its dataset cannot be read, its files are not there, or it cannot be trained.
    ChecksFailed
        A check of its dataset is ERROR.
    """
    spec = context.project.models[name]
    if not isinstance(spec, TrainModel):
        return Version(name, models.fingerprint(models.facts(context.project, name)))
    table = inspect(spec.dataset, context, found).table
    fit = models.fit_fingerprint(spec, table)
    with context.lock(f"model {name}"):
        trained = None if force else context.store.find_model_version(name, fit)
        reused = trained is not None
        if trained is None:
            trained = _train(name, spec, table, fit, context)
        else:
            context.log.info(f"model {name}: version {trained.version} is still right")
    identity = f"{fit}.{trained.version}"
    test = Table(
        name=f"held-out rows of {name}",
        frame=pl.scan_parquet(trained.folder / TEST_ROWS, glob=False),
        fingerprint=identity,
        entity=table.entity,
        rereadable=True,
    )
    return Version(
        name, models.fingerprint(models.facts(context.project, name, identity)), trained, table, test, reused
    )


def _train(name: str, spec: TrainModel, table: Table, fit: str, context: Context) -> ModelVersion:
    context.log.info(f"model {name}: training {spec.algorithm} on dataset {table.name}")
    trained = models.train(name, spec, table)
    for note in trained.notes:
        context.log.info(f"model {name}: {note}")
    with context.store.staging() as folder:
        models.save(trained.model, folder)
        trained.test.write_parquet(folder / TEST_ROWS)
        version = context.store.add_model_version(name, fit, folder)
    context.log.info(f"model {name}: version {version.version} trained, {trained.test.height:,} rows held out")
    return version
