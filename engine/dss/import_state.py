"""The state of an import: the files read, the names, the parts of the spec, and the report."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.dss.json_objects import JsonObject, parse_lenient_json
from engine.dss.names import ProjectNames, make_identifier
from engine.dss.predicted_rows import PredictedRows
from engine.dss.report import ImportReport, ObjectLine
from engine.dss.source import MANIFEST_FILE, ProjectFiles
from engine.dss.spec_writing import Part, Template
from engine.errors import BundleError

SECTIONS = (
    *("variables", "secrets", "connections", "datasets", "models", "evaluation_stores", "channels", "scenarios"),
    *("bundles", "infrastructures", "deployments"),
)
"""The sections that an import writes, in order."""


@dataclass(slots=True)
class ImportState:
    """An import.

    Attributes
    ----------
    copies
        With data: the path of a data file's copy, relative to the spec, by its path in the source.
    joins
        With data: the rows and predictions that are joined to a file, by its path relative to the spec.
    predicted_columns
        The columns of predictions, by the name of a dataset with the test rows of a model.
    triggers_off
        Whether the project's settings switch off all triggers.
    objects
        The objects read, by path of the file.
    models
        The files of the models, by their names in the spec.
    stores_of_model
        The names of the stores that evaluate a model, by the model's name.
    queries_of_dataset
        The name of the query to which some rules of a dataset were converted, by the dataset's name.
    roles
        The roles of columns in the training of a model, by the model's name.
    node_variables
        Names of the variables whose values differ between nodes.
    channel_names
        The names of channels, by the settings that messages of one channel share.
    channel_urls
        The reference to the secret with a server's address, by the settings that messages to one server share.
    unread_datasets
        The report lines of datasets that the engine cannot read, by name: they are left out unless the spec uses them.
    """

    files: ProjectFiles
    names: ProjectNames
    report: ImportReport
    with_data: bool
    sections: dict[str, dict[str, Any]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    copies: dict[str, str] = field(default_factory=dict)
    joins: dict[str, PredictedRows] = field(default_factory=dict)
    predicted_columns: dict[str, list[str]] = field(default_factory=dict)
    triggers_off: bool = False
    objects: dict[str, JsonObject] = field(default_factory=dict)
    models: dict[str, JsonObject] = field(default_factory=dict)
    stores_of_model: dict[str, list[str]] = field(default_factory=dict)
    queries_of_dataset: dict[str, str] = field(default_factory=dict)
    roles: dict[str, dict[str, str]] = field(default_factory=dict)
    node_variables: list[str] = field(default_factory=list)
    channel_names: dict[tuple[str, ...], str] = field(default_factory=dict)
    channel_urls: dict[tuple[str, str], Template] = field(default_factory=dict)
    unread_datasets: dict[str, ObjectLine] = field(default_factory=dict)

    def read_object(self, path: str) -> JsonObject | None:
        """Return the JSON object in a file of the content; None, with a remark, if it cannot be read."""
        return self._parse_file(path, lambda: self.files.read_content(path))

    def read_manifest(self) -> JsonObject | None:
        """Return the manifest of an export; None if there is no readable one."""
        if not self.files.has_manifest:
            return None
        return self._parse_file(MANIFEST_FILE, self.files.read_manifest)

    def read_other(self, path: str) -> JsonObject | None:
        """Return the JSON object in a file outside the content, by its full path; None if it cannot be read."""
        return self._parse_file(path, lambda: self.files.read_other(path))

    def _parse_file(self, path: str, read: Callable[[], bytes]) -> JsonObject | None:
        if path in self.objects:
            return self.objects[path]
        repeated: list[str] = []
        try:
            values = parse_lenient_json(read().decode("utf-8-sig"), repeated)
        except (BundleError, UnicodeDecodeError, ValueError) as error:
            what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            self.report.remarks[path] = what
            return None
        if not isinstance(values, dict):
            self.report.report_type(path, "a JSON object")
            return None
        if repeated:
            keys = ", ".join(dict.fromkeys(key[:60] for key in repeated))
            self.report.remarks[f"{path} $"] = f"an object has a key twice, and its last value counts: {keys[:300]}"
        self.objects[path] = JsonObject(path, "$", values, self.report.report_type)
        return self.objects[path]

    def read_payload(self, recipe: str, ending: str) -> JsonObject | None:
        """Return the settings of a recipe, which are in a file beside it; None if there is no readable one."""
        path = f"recipes/{recipe}.{ending}"
        return self.read_object(path) if self.files.has_content(path) else None

    def read_folder(self, kind: str, folder: str) -> list[tuple[str, JsonObject]]:
        """Return the objects of a folder by id; files that cannot be read become lines of the report."""
        found = []
        for path in self.files.list_content(folder):
            id_ = path.removeprefix(f"{folder}/").removesuffix(".json")
            one = self.read_object(path)
            if one is None:
                self.report.add(kind, id_, path).leave_out("its file cannot be read")
            else:
                found.append((id_, one))
        return found

    def add_secret(self, proposed: str) -> Template:
        """Declare an optional secret, read from an environment variable of the project; return the reference to it."""
        secrets = self.sections["secrets"]
        name = make_identifier(proposed.lower(), secrets)
        variable = make_identifier(f"{self.names.project}_{name}".upper())
        part = Part("", {"env": variable, "optional": True})
        part.add_todo(f"set the environment variable {variable}: no value was read from the project")
        secrets[name] = part
        return Template(f"${{secret.{name}}}")


def may_hold_password(sql: str) -> bool:
    """Return whether SQL may contain a password, as statements that create users do."""
    return re.search(r"password|identified\s+by|secret|credential", sql, re.IGNORECASE) is not None


def list_references(owner: JsonObject, key: str, role: str) -> list[str]:
    """Return the references to a recipe's inputs or outputs in a role: `inputs.main.items[].ref`."""
    return [
        name for one in owner.get_object(key).get_object(role).get_objects("items") if (name := one.get_text("ref"))
    ]
