"""The spec of a project as text with what is wrong in it, and its flow as a picture."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from engine.server.pages import links
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.service.control import ServedProject
from engine.spec.redaction import Redact
from engine.views.charts.flow_diagram import draw_flow
from engine.views.flow import FlowNode, describe_flow

LARGEST_FILE = 1_000_000
"""Bytes of a file of the spec that are shown."""


@dataclass(frozen=True, slots=True)
class SpecPages:
    """The pages about the spec of a project."""

    requests: ProjectRequests
    redact: Redact

    def show_spec(self, request: Request) -> Page:
        """Return the files of the spec as they are now, with the problems of each line."""
        project = self.requests.find_project(request)
        paths = _list_paths(project)
        wanted = request.query_params.get("file", "")
        path = next((one for one in paths if one.name == wanted), paths[0])
        found = _list_problems(project, path)
        lines, problem = _read_lines(path)
        return Page(
            template="spec.html",
            title=f"Spec {path.name}",
            content={
                "file": str(path),
                "files": [one.name for one in paths],
                "valid": not project.spec_problems,
                "problems": [*project.spec_problems, *_list_warnings(project)],
                "lines": lines,
                "unread": problem,
            },
            values={"by_line": found, "file": path.name},
            project=project,
        )

    def show_flow(self, request: Request) -> Page:
        """Return the datasets, models and evaluation stores of a project, and which is made of which."""
        project, spec = self.requests.find_spec(request)
        nodes = describe_flow(spec)
        return Page(
            template="flow.html",
            title="Flow",
            content={"nodes": nodes},
            values={
                "drawing": draw_flow(nodes, lambda node: _link_node(project, node), self.redact).render(),
                "addresses": [_link_node(project, node) for node in nodes],
            },
            table=Table(
                ("kind", "name", "made of"),
                [(node.kind, node.name, ", ".join(name for _, name in node.inputs)) for node in nodes],
            ),
            project=project,
        )


def _link_node(project: ServedProject, node: FlowNode) -> str:
    """Return where a box of the flow leads: to the page of a store, else to its lines of the spec."""
    if node.kind == "evaluation_store":
        return links.build_link(links.STORE, project=project.name, store=node.name)
    place = {"file": Path(node.position.file).name}
    return f"{links.build_link(links.SPEC, place, project=project.name)}#line-{node.position.line}"


def _list_paths(project: ServedProject) -> Sequence[Path]:
    """Return the files of the last valid spec, the main one first."""
    return project.spec.file_paths if project.spec else [project.path]


def _list_warnings(project: ServedProject) -> list[str]:
    found = project.spec.warnings if project.spec else ()
    return [f"{one.position.file}:{one.position.line}:{one.position.column}: {one.message}" for one in found]


def _list_problems(project: ServedProject, path: Path) -> Mapping[int, list[str]]:
    """Return the problems and warnings of a file by their lines."""
    found: dict[int, list[str]] = defaultdict(list)
    for text in [*project.spec_problems, *_list_warnings(project)]:
        place = re.match(r"(.*?):(\d+):\d+: (.*)", text, re.DOTALL)
        if place and Path(place[1]).name == path.name:
            found[int(place[2])].append(place[3])
    return found


def _read_lines(path: Path) -> tuple[list[str], str]:
    """Return the lines of a file, and why it cannot be shown; empty if it can."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as problem:
        return [], f"it cannot be read: {problem.strerror}"
    cut = f"only its first {LARGEST_FILE:,} bytes are shown" if len(raw) > LARGEST_FILE else ""
    return raw[:LARGEST_FILE].decode("utf-8", "replace").splitlines(), cut
