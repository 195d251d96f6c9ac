"""What an import has read and made so far: the files, the names, the parts of the spec, and the report."""

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
"""The sections that an import writes, in their order."""


@dataclass(slots=True)
class ImportState:
    """An import.

    Attributes
    ----------
    copies
        With data: by the path in the source of a data file, the path of its copy, relative to the spec.
    joins
        With data: by the path of a file, relative to the spec, the rows and predictions that it is made of.
    predicted_columns
        By name of a dataset with the test rows of a model, the columns of its predictions.
    triggers_off
        Whether the settings of the project switch all triggers off.
    objects
        What was read, by path of the file.
    models
        By name here, the files of the models.
    stores_of_model
        By name of a model, those of the stores that evaluate it.
    queries_of_dataset
        By name of a dataset, that of the query that some of its rules became.
    roles
        By name of a model, the roles that its training gives columns.
    node_variables
        Names of the variables that each node has a value of its own for.
    channel_names
        By what makes messages share a channel, its name.
    channel_urls
        By what makes messages share a server, the reference to the secret with its address.
    unread_datasets
        By name, the lines of datasets that nothing here reads: they are left out unless something of the spec uses
        them.
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
        """Return the manifest of an export; None if there is none that can be read."""
        if not self.files.has_manifest:
            return None
        return self._parse_file(MANIFEST_FILE, self.files.read_manifest)

    def read_other(self, path: str) -> JsonObject | None:
        """Return the JSON object in a file beside the content, by its full path; None if it cannot be read."""
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
        """Return the settings of a recipe, which lie in a file beside it; None if there is none that can be read."""
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

    def add_secret(self, wish: str) -> Template:
        """Declare an optional secret, from an environment variable of the project; return the reference to it."""
        secrets = self.sections["secrets"]
        name = make_identifier(wish.lower(), secrets)
        variable = make_identifier(f"{self.names.project}_{name}".upper())
        part = Part("", {"env": variable, "optional": True})
        part.add_todo(f"set the environment variable {variable}: no value was read from the project")
        secrets[name] = part
        return Template(f"${{secret.{name}}}")


def may_hold_password(sql: str) -> bool:
    """Return whether SQL may hold a password, as that which makes users does."""
    return re.search(r"password|identified\s+by|secret|credential", sql, re.IGNORECASE) is not None


def list_references(owner: JsonObject, key: str, role: str) -> list[str]:
    """Return what a recipe reads or writes in a role: `inputs.main.items[].ref`."""
    return [
        name for one in owner.get_object(key).get_object(role).get_objects("items") if (name := one.get_text("ref"))
    ]
