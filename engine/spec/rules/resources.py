"""Rules of single resources: keys of one dataset, model, store or secret that must fit together."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from urllib.parse import urlsplit

from engine.discovery.file_endings import ARCHIVES, SAVE_AS_CSV, SPREADSHEETS, UNPACK, detect_format
from engine.errors import Position
from engine.formatting.lists import join_alternatives
from engine.spec.diagnostics import Findings
from engine.spec.resources.datasets import Column, Csv, FileDataset, StoredDataset
from engine.spec.resources.evaluation_stores import (
    DatasetReference,
    ModelTestReference,
    SamePeriodReference,
    TimeWindow,
)
from engine.spec.resources.models import ALGORITHMS, ScoredModel, TrainModel
from engine.spec.resources.project import Retention
from engine.spec.rules.draft import Draft
from engine.spec.times.declared_times import YEARS, find_moment, find_zone, format_declared_time
from engine.spec.validation.validator import SpecPath
from engine.spec.validation.value_types import list_keys
from engine.spec.variables.references import format_value, quote_value
from engine.spec.yaml.yaml_tree import MapNode, ScalarNode

_BOUNDS_HELP = {
    "integer": "write a number",
    "number": "write a number",
    "date": "write a date such as 2017-10-01",
    "datetime": "write a date such as 2017-10-01 or a time such as 2017-10-01T12:30:00",
    **dict.fromkeys(("text", "boolean", "duration"), "remove it: only numbers, dates and times have bounds"),
}

_FUNCTION_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def check_functions(draft: Draft, findings: Findings) -> None:
    """Check that each function of the user is written as `module:function`."""
    for text in draft.texts_read_as("function"):
        if _FUNCTION_PATH.fullmatch(text.value) and ".py:" not in text.value:
            continue
        file = re.fullmatch(r"(?:\./)?([\w/]+)\.py:(\w+)", text.value)
        dotted = re.fullmatch(r"([\w.]+)\.(\w+)", text.value)
        # The probable intention: `my_data.py:read` (a file) or `my_data.read` (a dotted path).
        parts = file or (None if text.value.endswith(".py") else dotted)
        help_ = (
            f"write {parts[1].replace('/', '.')}:{parts[2]}"
            if parts
            else "write module:function, such as my_data:read for the function read in my_data.py"
        )
        message = f'"{text.value[:60]}" is not written as module:function'
        findings.error(text.node.position, "function", message, help_)


def check_datasets(draft: Draft, findings: Findings) -> None:
    """Check that the format of each file is known, that csv settings are for CSV files, and the bounds of columns."""
    for name, dataset in draft.spec.datasets.items():
        if isinstance(dataset, FileDataset | StoredDataset) and dataset.path is not None:
            at = draft.value_position("datasets", name, "path")
            format_ = dataset.format or detect_format(dataset.path)
            if dataset.marker is not None and ("/" in dataset.marker or not dataset.marker.strip(". ")):
                where = draft.value_position("datasets", name, "marker")
                message = f"{quote_value(dataset.marker)} is not the name of a file in the folder of the data"
                findings.error(where, "marker", message, "write only the name, such as _SUCCESS")
            if not dataset.path.strip():
                findings.error(at, "path", "the path is empty", "write the path of a file or a folder")
            elif dataset.format is None and dataset.path.lower().endswith(SPREADSHEETS):
                message = f'"{dataset.path[-60:]}" is a spreadsheet, which cannot be read'
                findings.error(at, "format", message, SAVE_AS_CSV)
            elif format_ in ("parquet", "arrow") and dataset.compression is not None:
                key = draft.key_position("datasets", name, "compression")
                message = f"compression is only for CSV and NDJSON, but this is a {format_} file"
                findings.error(key, "format", message, "remove it: Parquet and Arrow compress inside the file")
            elif format_ is None and dataset.compression is None and dataset.path.lower().endswith(ARCHIVES):
                zipped = dataset.path.lower().endswith(".zip")
                help_ = f"{UNPACK}, or write compression: zip if it holds one file" if zipped else UNPACK
                findings.error(at, "format", f'"{dataset.path[-60:]}" is an archive, which cannot be read', help_)
            elif format_ not in (None, "csv") and "csv" in dataset.model_fields_set:
                key = draft.key_position("datasets", name, "csv")
                message = f"csv settings are only for CSV files, but this is a {format_} file"
                findings.error(key, "format", message, "remove them, or write format: csv")
            _check_csv_settings(draft, findings, dataset.csv, ("datasets", name, "csv"))
        for column, contract in dataset.columns.items():
            _check_contract_bounds(draft, findings, contract, ("datasets", name, "columns", column))


def _check_csv_settings(draft: Draft, findings: Findings, csv: Csv, path: SpecPath) -> None:
    """Check the separator of thousands, which must not be the decimal mark, and the name of the encoding."""
    mark = "," if csv.decimal_comma else "."
    if csv.thousands is not None and (csv.thousands == mark or csv.thousands.isalnum() or csv.thousands in "+-"):
        message = f"{quote_value(csv.thousands)} cannot be the thousands separator"
        help_ = 'write a thousands separator such as "," or " "'
        if csv.thousands == mark:
            message += ": it is the decimal mark"
            help_ = "add decimal_comma: true" if mark == "." else "remove decimal_comma: true"
        findings.error(draft.value_position(*path, "thousands"), "csv", message, help_)
    try:
        "".encode(csv.encoding)  # refuses codecs that are not encodings of text
    except (LookupError, ValueError):
        message = f'there is no encoding "{csv.encoding[:60]}"'
        findings.error(
            draft.value_position(*path, "encoding"), "csv", message, "write utf-8, cp1252, latin-1 or utf-16"
        )


def _check_contract_bounds(draft: Draft, findings: Findings, column: Column, path: SpecPath) -> None:
    low, high = column.min, column.max
    for key, bound in (("min", low), ("max", high)):
        if bound is None or column.type is None:
            continue
        fits = column.type in (("integer", "number") if isinstance(bound, float) else ("date", "datetime"))
        if not fits:
            message = f"{key} {quote_value(bound)} cannot be a bound of a column of type {column.type}"
            findings.error(draft.value_position(*path, key), "bound", message, _BOUNDS_HELP.get(column.type))
    if low is not None and high is not None:
        if isinstance(low, float) != isinstance(high, float):
            message = f"min {quote_value(low)} and max {quote_value(high)} have different types"
            findings.error(draft.value_position(*path, "max"), "bound", message, "write two numbers or two dates")
        elif isinstance(low, float) and isinstance(high, float) and not low <= high:
            message = f"max {quote_value(high)} is below min {quote_value(low)}"
            findings.error(
                draft.value_position(*path, "max"), "range-order", message, also=draft.value_position(*path, "min")
            )
        elif format_value(low) > format_value(high) and not isinstance(low, float):
            message = f"max {quote_value(high)} is before min {quote_value(low)}"
            findings.error(
                draft.value_position(*path, "max"), "range-order", message, also=draft.value_position(*path, "min")
            )


def check_models(draft: Draft, findings: Findings) -> None:
    """Check that task, algorithm, target and features of each model fit together."""
    for name, model in draft.spec.models.items():
        path = ("models", name)
        if model.task != "binary_classification":
            for key in ("positive", "threshold", "cost_matrix"):
                if key in model.model_fields_set:
                    message = f"{key} is only for binary_classification, but the task is {model.task}"
                    findings.error(draft.key_position(*path, key), "task", message, "remove it, or change the task")
        elif model.threshold in (0, 1):
            which = "all rows are" if model.threshold == 0 else "only rows with a probability of 1 are"
            message = f"with the threshold {model.threshold:g}, {which} predicted as positive"
            findings.warning(
                draft.value_position(*path, "threshold"), "threshold", message, "write one between 0 and 1"
            )
        for i, feature in enumerate(model.features.include or []):
            if feature == model.target:
                at = draft.value_position(*path, "features", "include", i)
                findings.error(at, "target-feature", f'the target "{feature[:60]}" cannot be a feature', "remove it")
        if isinstance(model, TrainModel) and model.task not in ALGORITHMS.get(model.algorithm, (model.task,)):
            message = f"the algorithm {model.algorithm} cannot be used for {model.task}"
            help_ = f"it can be used for {join_alternatives(ALGORITHMS[model.algorithm])}"
            findings.error(draft.value_position(*path, "algorithm"), "task", message, help_)
        if isinstance(model, ScoredModel):
            _check_scored_model(draft, findings, model, path)


def _check_scored_model(draft: Draft, findings: Findings, model: ScoredModel, path: SpecPath) -> None:
    if model.task == "regression":
        if model.prediction is None:
            message = "a scored regression model needs the column of its predictions"
            findings.error(draft.key_position(*path), "needs-key", message, "add prediction: <column>")
        if model.probability is not None:
            message = "a regression model predicts values, not probabilities"
            findings.error(draft.key_position(*path, "probability"), "task", message, "remove it")
    elif model.prediction is None and model.probability is None:
        message = "a scored model needs the columns of its predictions or probabilities"
        findings.error(
            draft.key_position(*path), "needs-key", message, "add prediction: <column> or probability: <column>"
        )
    elif model.probability is None and model.threshold is not None:
        message = "a threshold needs probabilities, but the model has only predictions"
        help_ = "add probability: <column>, or remove it"
        findings.error(draft.key_position(*path, "threshold"), "needs-key", message, help_)
    elif model.task == "multiclass_classification" and isinstance(model.probability, str):
        message = "with several classes, each class needs its own column of probabilities"
        findings.error(
            draft.value_position(*path, "probability"),
            "task",
            message,
            "write probability: {class: column, other class: column}",
        )


def check_stores(draft: Draft, findings: Findings) -> None:
    """Check that each store has a reference, and that it is not the batch itself."""
    for name, store in draft.spec.evaluation_stores.items():
        path = ("evaluation_stores", name)
        reference, model = store.reference, draft.model_of_store(name)
        at = draft.key_position(*path, "reference")
        if reference is None or isinstance(reference, ModelTestReference):
            help_ = "add reference: {kind: dataset, dataset: …}, {kind: evaluation, …} or {kind: rolling, …}"
            if store.model is None:
                findings.error(at, "no-reference", "a store without a model needs a reference", help_)
            elif model is not None and not isinstance(model, TrainModel):
                message = f'model "{store.model}" is not of kind train, so it has no test rows to compare with'
                findings.error(at, "no-reference", message, help_)
        elif isinstance(reference, SamePeriodReference) and store.evaluation.time is None:
            at = draft.value_position(*path, "reference", "kind")
            message = "the reference same_period needs evaluations with a time"
            findings.error(at, "needs-key", message, "add evaluation: {time: …}, such as the day of the batch")
        elif isinstance(reference, DatasetReference) and reference.dataset == store.dataset:
            message = f'the batch and the reference are the same dataset "{store.dataset}", so there is never drift'
            findings.warning(draft.value_position(*path, "reference", "dataset"), "same-dataset", message)
        _check_challenger(draft, findings, name)
        if store.estimates is not None and store.model is None:
            at = draft.value_position(*path, "estimates")
            message = "estimates need a model, but this store has none"
            findings.error(at, "needs-key", message, "add model:, or remove estimates")
        if strange := _find_strange_year(draft, path, store.evaluation.time):
            findings.error(strange, "bound", f"the year of a time must be from {YEARS[0]} to {YEARS[-1]}")
        elif isinstance(window := store.evaluation.time, TimeWindow):
            start, end = (find_moment(one, find_zone(draft.spec)) for one in (window.start, window.end))
            if end <= start:
                at = draft.value_position(*path, "evaluation", "time", "end")
                message = (
                    f"the window ends at {format_declared_time(window.end)}, which is not after its start, "
                    f"{format_declared_time(window.start)}"
                )
                help_ = "write an end after the start; it is not part of the window"
                also = draft.value_position(*path, "evaluation", "time", "start")
                findings.error(at, "range-order", message, help_, also=also)


def _check_challenger(draft: Draft, findings: Findings, store: str) -> None:
    """Check that a challenger differs from the model of its store, and has the same task."""
    declared = draft.spec.evaluation_stores[store]
    if declared.challenger is None:
        return
    at = draft.value_position("evaluation_stores", store, "challenger")
    if declared.model is None:
        message = "a challenger is compared with the model of the store, but this store has none"
        findings.error(at, "needs-key", message, "add model:, the model that is in use")
        return
    if declared.challenger == declared.model:
        message = f'"{declared.model[:60]}" is the model of the store, so it cannot be its own challenger'
        findings.error(at, "challenger", message, "use another model")
        return
    model, challenger = draft.model_of_store(store), draft.challenger_of_store(store)
    if model is None or challenger is None:
        return
    for key, difference in list_model_differences(declared.challenger, declared.model, draft, COMPARED):
        also = draft.value_position("models", declared.challenger, key)
        help_ = f"use a challenger with the same {_KEY_NAMES.get(key, key)}"
        findings.error(at, "challenger", f"{difference}: they cannot be compared", help_, also=also)


COMPARED = ("task", "target", "positive")
"""The settings that two models must share to be compared."""
_KEY_NAMES = {"positive": "positive class"}


def list_model_differences(candidate: str, model: str, draft: Draft, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the keys with different values in two declared models, each with the difference as a sentence."""
    for key in keys:
        other, mine = (getattr(draft.spec.models[name], key) for name in (candidate, model))
        # A positive class that is left out is known only when the data are read.
        if str(mine) != str(other) and not (key == "positive" and None in (mine, other)):
            name = _KEY_NAMES.get(key, key)
            difference = (
                f'the {name} of "{candidate[:60]}" is {quote_value(other)}, '
                f'that of "{model[:60]}" is {quote_value(mine)}'
            )
            yield key, difference


def _find_strange_year(draft: Draft, path: SpecPath, time: date | TimeWindow | None) -> Position | None:
    """Return the position of a declared time with an invalid year; None if there is none."""
    place = (*path, "evaluation", "time")
    times = {("start",): time.start, ("end",): time.end} if isinstance(time, TimeWindow) else {(): time}
    wrong = (draft.value_position(*place, *key) for key, one in times.items() if one and one.year not in YEARS)
    return next(wrong, None)


def check_secrets(draft: Draft, findings: Findings) -> None:
    """Check that each secret has exactly one source."""
    for name, secret in draft.spec.secrets.items():
        at = draft.key_position("secrets", name)
        if secret.env is None and secret.file is None:
            findings.error(at, "secret-source", f'secret "{name}" has no source', "add env: NAME or file: path")
        elif secret.env is not None and secret.file is not None:
            findings.error(at, "secret-source", f'secret "{name}" has two sources', "keep env or file, not both")


def check_server(draft: Draft, findings: Findings) -> None:
    """Check that the server's URL is an http or https address."""
    if draft.spec.server:
        check_address(draft.spec.server.url, draft.value_position("server", "url"), findings)


def check_retention(draft: Draft, findings: Findings) -> None:
    """Check that retention has limits, and that no file is kept longer than its evaluation."""
    retention = draft.spec.retention
    node = draft.find_node("retention")
    if isinstance(node, ScalarNode) or (isinstance(node, MapNode) and not node.entries):
        names = join_alternatives(list_keys(Retention))
        message = "retention is empty, so nothing is ever removed"
        findings.warning(draft.key_position("retention"), "retention", message, f"add {names}, or remove it")
    if retention is None:
        return
    for part in retention.model_fields_set:
        limits = getattr(retention, part)
        if limits is not None and not limits.model_fields_set:
            at = draft.key_position("retention", part)
            findings.error(at, "retention", f"{part} has no limit", "add keep: 1000, days: 90 or both")
    rows, their_files = retention.evaluations, retention.evaluation_files
    for limit in ("keep", "days"):
        most, kept = getattr(rows, limit, None), getattr(their_files, limit, None)
        if most is not None and kept is not None and kept >= most:
            at = draft.value_position("retention", "evaluation_files", limit)
            message = f"this has no effect: files are removed with their evaluations, whose limit is {limit}: {most}"
            findings.warning(at, "retention", message, f"write less than {most}, or remove it")


def check_address(address: str, at: Position, findings: Findings) -> None:
    """Check that the value at a position is an http or https address."""
    if not is_url(address, ("http", "https")):
        findings.error(at, "url", "this is not the address of a server", "write http://host:port or https://host")


def is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Return whether a text is an address with one of these schemes and a host."""
    try:
        url = urlsplit(text)
        return url.scheme in schemes and bool(url.hostname) and not re.search(r"\s", text) and url.port != 0
    except ValueError:
        return False
