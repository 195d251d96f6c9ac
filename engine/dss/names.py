"""Names in the spec for the objects of a project, and texts that contain them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Template
from engine.spec.variables.references import escape_references, find_references

_USER_IN_ADDRESS = re.compile(r"://[^/\s@]*@")
_NOT_IN_NAMES = re.compile(r"""["'/$\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]+""")


def make_name(text: str, taken: Collection[str], fallback: str) -> str:
    """Return a valid name similar to a text and not taken: `name`, else `name 2` and so on."""
    name = " ".join(_NOT_IN_NAMES.sub(" ", text).split()).lstrip(". ")[:180].strip() or fallback
    return next(one for one in (name, *(f"{name} {n}" for n in range(2, len(taken) + 3))) if one not in taken)


def make_identifier(text: str, taken: Collection[str] = ()) -> str:
    """Return a name that `${…}` may contain, similar to a text and not taken."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text)[:100].strip("_") or "value"
    name = f"v_{name}" if name[0].isdigit() else name
    return next(one for one in (name, *(f"{name}_{n}" for n in range(2, len(taken) + 3))) if one not in taken)


@dataclass(slots=True)
class ProjectNames:
    """The names of a project's objects in the spec.

    Attributes
    ----------
    key
        The key of the project in DSS; empty if no file contains it.
    project
        The name of the project.
    targets, scenarios
        The names of datasets, models and stores, and of scenarios, by id in DSS (datasets by name).
    sections
        The section of the spec, by the name of a target.
    variables
        The names of variables, by name in DSS.
    """

    key: str = ""
    project: str = ""
    targets: dict[str, str] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)
    scenarios: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def is_own(self, project: str) -> bool:
        """Return whether the project key of a reference is that of this project."""
        return not project or self.key in ("", project)

    def add_target(self, section: str, id_: str, text: str) -> str:
        """Give a dataset, model or store a name that is unique among these three."""
        name = make_name(text, self.sections, section.removesuffix("s"))
        self.targets[id_], self.sections[name] = name, section
        return name

    def find_target(self, reference: str, *sections: str) -> str | None:
        """Return the name of the referenced object if it is in one of the sections; else None.

        A reference may begin with the key of the project: `CARDS.transactions`.
        """
        name = self.targets.get(reference) or self.targets.get(reference.removeprefix(f"{self.key}."))
        return name if name is not None and self.sections[name] in sections else None

    def find_scenario(self, reference: str) -> str | None:
        """Return the name of the referenced scenario; None if the project has no such scenario."""
        return self.scenarios.get(reference.removeprefix(f"{self.key}."))


def fill_references(text: str, names: ProjectNames, line: ObjectLine, also: Collection[str] = ()) -> Template:
    """Convert the `${…}` of DSS in a text to those of the spec; unknown ones are kept as text and noted.

    User and password of an address in the text are masked.

    Parameters
    ----------
    also
        Additional allowed names, such as those of messages.
    """
    masked = _USER_IN_ADDRESS.sub("://***@", text)
    if masked != text:
        line.note("TODO user and password of an address in it are not imported")
        text = masked
    filled, place = "", 0
    for reference in find_references(text):
        name = reference.text[2:-1].strip()
        filled += text[place : reference.offset]
        place = reference.offset + reference.length
        if name in also:
            filled += f"${{{name}}}"
        elif name in names.variables:
            filled += f"${{{names.variables[name]}}}"
        else:
            filled += escape_references(reference.text)
            line.note(f"{name[:60]} is not a variable here: its ${{…}} stays as text")
    return Template(filled + text[place:])
