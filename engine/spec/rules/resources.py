"""Datasets, models, stores, secrets, channels: keys of one resource that must fit together."""

import re
from pathlib import PurePath
from urllib.parse import urlsplit

from engine.spec.diagnostics import Findings, one_of
from engine.spec.resources.channels import AppriseChannel, FileChannel, MailChannel
from engine.spec.resources.datasets import ENDINGS, Column, FileDataset
from engine.spec.resources.evaluation_stores import DatasetReference, ModelTestReference
from engine.spec.resources.models import ScoredModel, TrainModel
from engine.spec.rules.draft import Draft
from engine.spec.shape import Path
from engine.spec.variables import as_text, references, shown

ALGORITHMS_OF_ONE_TASK = {
    "logistic_regression": ("binary_classification", "multiclass_classification"),
    "linear_regression": ("regression",),
    "ridge": ("regression",),
}
COMPRESSED = (".gz", ".zst")

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+|[^<>\r\n]*<[^@\s,;<>]+@[^@\s,;<>]+>")


def functions(draft: Draft, findings: Findings) -> None:
    """Check that a function of the user's is written module:function."""
    for text in draft.read_as("function"):
        if _FUNCTION.fullmatch(text.value) and ".py:" not in text.value:
            continue
        file = re.fullmatch(r"(?:\./)?([\w/]+)\.py:(\w+)", text.value)
        dotted = re.fullmatch(r"([\w.]+)\.(\w+)", text.value)
        meant = file or (None if text.value.endswith(".py") else dotted)
        help_ = (
            f"write {meant[1].replace('/', '.')}:{meant[2]}"
            if meant
            else "write module:function, for my_data.py my_data:read"
        )
        findings.error(text.node.position, "function", f'"{text.value[:60]}" is not module:function', help_)


def datasets(draft: Draft, findings: Findings) -> None:
    """Check that the format of files can be told, and what is said about CSV is said of CSV; contracts can be kept."""
    for name, dataset in draft.spec.datasets.items():
        if isinstance(dataset, FileDataset):
            at = draft.value("datasets", name, "path")
            format_ = dataset.format or format_of(dataset.path)
            if not dataset.path.strip():
                findings.error(at, "path", "the path is empty")
            elif format_ is None:
                help_ = f"say format: csv, parquet, ndjson or arrow; or use an ending: {one_of(ENDINGS)}"
                findings.error(at, "format", f'the ending of "{dataset.path[-60:]}" tells no format', help_)
            elif format_ != "csv" and "csv" in dataset.model_fields_set:
                key = draft.position("datasets", name, "csv")
                findings.error(key, "format", f"csv settings for a {format_} file", "take them out, or say format: csv")
        for column, contract in dataset.columns.items():
            _column(draft, findings, contract, ("datasets", name, "columns", column))


def format_of(path: str) -> str | None:
    """Return the format that a path's ending tells."""
    pure = PurePath(path)
    suffix = PurePath(pure.stem).suffix if pure.suffix.lower() in COMPRESSED else pure.suffix
    return ENDINGS.get(suffix.lower())


def _column(draft: Draft, findings: Findings, column: Column, path: Path) -> None:
    low, high = column.min, column.max
    for key, bound in (("min", low), ("max", high)):
        if bound is None or column.type is None:
            continue
        fits = column.type in (("integer", "number") if isinstance(bound, float) else ("date", "datetime"))
        if not fits:
            message = f"{shown(bound)} is no bound for a {column.type} column"
            findings.error(draft.value(*path, key), "bound", message, None)
    if low is not None and high is not None:
        if isinstance(low, float) != isinstance(high, float):
            findings.error(draft.value(*path, "max"), "bound", f"min {shown(low)} and max {shown(high)} differ in type")
        elif isinstance(low, float) and isinstance(high, float) and not low <= high:
            message = f"max {shown(high)} is below min {shown(low)}"
            findings.error(draft.value(*path, "max"), "range-order", message, also=draft.value(*path, "min"))
        elif as_text(low) > as_text(high) and not isinstance(low, float):
            message = f"max {shown(high)} is before min {shown(low)}"
            findings.error(draft.value(*path, "max"), "range-order", message, also=draft.value(*path, "min"))


def models(draft: Draft, findings: Findings) -> None:
    """Task, algorithm, target and features of a model fit together."""
    for name, model in draft.spec.models.items():
        path = ("models", name)
        if model.task != "binary_classification":
            for key in ("positive", "threshold", "cost_matrix"):
                if key in model.model_fields_set:
                    message = f"{key} is for binary_classification, and the task is {model.task}"
                    findings.error(draft.position(*path, key), "task", message, "take it out, or change the task")
        for i, feature in enumerate(model.features.include or []):
            if feature == model.target:
                at = draft.value(*path, "features", "include", i)
                findings.error(at, "target-feature", f'the target "{feature[:60]}" cannot be a feature', "take it out")
        if isinstance(model, TrainModel) and model.task not in ALGORITHMS_OF_ONE_TASK.get(
            model.algorithm, (model.task,)
        ):
            message = f"{model.algorithm} cannot do {model.task}"
            help_ = f"it does {one_of(ALGORITHMS_OF_ONE_TASK[model.algorithm])}"
            findings.error(draft.value(*path, "algorithm"), "task", message, help_)
        if isinstance(model, ScoredModel):
            _scored(draft, findings, model, path)


def _scored(draft: Draft, findings: Findings, model: ScoredModel, path: Path) -> None:
    if model.task == "regression":
        if model.prediction is None:
            message = "a scored regression needs the column of its predictions"
            findings.error(draft.position(*path), "needs-key", message, "say prediction: <column>")
        if model.probability is not None:
            message = "a regression predicts values, not probabilities"
            findings.error(draft.position(*path, "probability"), "task", message, "take it out")
    elif model.prediction is None and model.probability is None:
        message = "a scored model needs the columns of its predictions or probabilities"
        findings.error(draft.position(*path), "needs-key", message, "say prediction: <column> or probability: <column>")
    elif model.task == "multiclass_classification" and isinstance(model.probability, str):
        message = "several classes have a probability each"
        findings.error(
            draft.value(*path, "probability"),
            "task",
            message,
            "write probability: {class: column, other class: column}",
        )


def stores(draft: Draft, findings: Findings) -> None:
    """Check that a store has something to compare its batch with."""
    for name, store in draft.spec.evaluation_stores.items():
        path = ("evaluation_stores", name)
        reference, model = store.reference, draft.model_of(name)
        at = draft.position(*path, "reference")
        if reference is None or isinstance(reference, ModelTestReference):
            help_ = "say reference: {kind: dataset, dataset: …}, {kind: evaluation, …} or {kind: rolling, …}"
            if store.model is None:
                findings.error(at, "no-reference", "a store without a model needs a reference", help_)
            elif model is not None and not isinstance(model, TrainModel):
                message = f'model "{store.model}" was not trained here: there are no test rows to compare with'
                findings.error(at, "no-reference", message, help_)
        elif isinstance(reference, DatasetReference) and reference.dataset == store.dataset:
            message = f'the batch and the reference are the same dataset "{store.dataset}": nothing can drift'
            findings.warning(draft.value(*path, "reference", "dataset"), "same-dataset", message)


def secrets(draft: Draft, findings: Findings) -> None:
    """Check that a secret has one source."""
    for name, secret in draft.spec.secrets.items():
        at = draft.position("secrets", name)
        if secret.env is None and secret.file is None:
            findings.error(at, "secret-source", f'secret "{name}" has no source', "say env: NAME or file: path")
        elif secret.env is not None and secret.file is not None:
            findings.error(at, "secret-source", f'secret "{name}" has two sources', "keep env or file, not both")


def server(draft: Draft, findings: Findings) -> None:
    """Check that the server's URL can be opened in a browser."""
    if draft.spec.server and not _is_url(draft.spec.server.url, ("http", "https")):
        at = draft.value("server", "url")
        message = f'"{draft.spec.server.url[:60]}" is not the address of a server'
        findings.error(at, "url", message, "write http://host:port or https://host")


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in schemes and bool(url.hostname) and not re.search(r"\s", text) and url.port != 0
    except ValueError:
        return False


def channels(draft: Draft, findings: Findings) -> None:
    """Check that a channel's address has the right shape, no password, and something for an absent secret."""
    for name, channel in draft.spec.channels.items():
        if isinstance(channel, FileChannel):
            continue
        path = ("channels", name)
        found = [r.parts[1] for r in references(channel.url) if r.parts[:1] == ("secret",) and len(r.parts) == 2]
        if not references(channel.url):
            _literal_url(draft, findings, channel, path)
        optional = [s for s in found if s in draft.spec.secrets and draft.spec.secrets[s].optional]
        known = all(s in draft.spec.secrets for s in found)
        if channel.fallback and known and not optional:
            message = "fallback is used where a secret is absent, and no secret of this url is optional"
            findings.warning(draft.position(*path, "fallback"), "fallback", message, "say optional: true of the secret")
        if optional and not channel.fallback:
            message = f'where the secret "{optional[0]}" is absent, nothing can be sent'
            help_ = "declare fallback: {kind: file, path: outbox}, or remove optional: true"
            findings.warning(draft.position(*path), "fallback", message, help_)
        if isinstance(channel, MailChannel) and not _ADDRESS.fullmatch(channel.from_):
            findings.error(draft.value(*path, "from"), "address", f'"{channel.from_[:60]}" is not a mail address')


def _literal_url(draft: Draft, findings: Findings, channel: MailChannel | AppriseChannel, path: Path) -> None:
    at = draft.value(*path, "url")
    if isinstance(channel, MailChannel) and not _is_url(channel.url, ("smtp", "smtps")):
        help_ = "write smtp://host:587?tls=starttls or smtps://host; with a password as ${secret.name}"
        findings.error(at, "url", "this is not the address of a mail server", help_)
    elif isinstance(channel, AppriseChannel) and "://" not in channel.url:
        findings.error(at, "url", "this is not an Apprise URL", "it starts with the service, such as slack://")
    elif re.search(r"//[^/@]*:[^/@]+@", channel.url):
        help_ = "put the url in a secret, and write ${secret.name}"
        findings.warning(at, "password", "a password stands in the spec", help_)


def reporters(draft: Draft, findings: Findings) -> None:
    """Check that a mail has receivers, and they look like mail addresses."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, reporter in enumerate(spec.reporters):
            path = ("scenarios", scenario, "reporters", i)
            channel = draft.spec.channels.get(reporter.channel)
            if isinstance(channel, MailChannel) and not reporter.to:
                message = f'reporter "{reporter.name[:60]}" sends mail to nobody'
                findings.error(draft.position(*path), "needs-key", message, "say to: [name@example.com]")
            for j, address in enumerate(reporter.to):
                if not _ADDRESS.fullmatch(address):
                    at = draft.value(*path, "to", j)
                    findings.error(at, "address", f'"{address[:60]}" is not a mail address', "one address an entry")
            if channel and not isinstance(channel, MailChannel) and reporter.to:
                message = f"to is for mail, and this channel is of kind {channel.kind}"
                findings.warning(draft.position(*path, "to"), "address", message, "take it out")
