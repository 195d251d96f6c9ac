"""The pages of a project's spec: its files with diagnostics, and a graph of its resources."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from engine.errors import Diagnostic, Position
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.health import explain_unready
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.service.control import ServedProject
from engine.spec.diagnostics import read_shown_lines, render_diagnostics
from engine.spec.project import ProjectSpec
from engine.spec.secrets.redaction import Redact
from engine.views.charts.flow import draw_flow
from engine.views.flow import FlowNode, Key, describe_flow


@dataclass(frozen=True, slots=True)
class SpecFinding:
    """A diagnostic with its excerpt, and the address of its line on a page; empty if no page shows it."""

    finding: Diagnostic
    text: str
    link: str


@dataclass(frozen=True, slots=True)
class SpecPages:
    """The pages of a project's spec and their actions."""

    requests: ProjectRequests
    redact: Redact

    def show_spec(self, request: Request) -> Page:
        """Return the present content of a spec's file, and the diagnostics of all its files."""
        project = self.requests.find_project(request)
        files = _list_files(project)
        shown = request.query_params.get("file") or next(iter(files))
        if shown not in files:
            raise AnswerError(404, f'the spec has no file "{shown[:100]}"', f"its files are {', '.join(files)}")
        lines = read_shown_lines(str(files[shown]), project.spec_findings)
        findings = [
            SpecFinding(
                one,
                render_diagnostics([one], others=project.spec_findings),
                _link_position(project, files, one.position),
            )
            for one in project.spec_findings
        ]
        return Page(
            template="spec.html",
            title="Spec",
            content={
                "file": shown,
                "files": list(files),
                "valid": project.spec is not None and not project.spec_problems,
                "problems": explain_unready(project),
                "findings": findings,
                "text": "\n".join(lines),
            },
            values={
                "lines": lines,
                "marked": {
                    one.position.line: str(one.severity)
                    for one in project.spec_findings
                    if _is_same_file(one.position.file, files[shown])
                },
            },
            table=Table(
                ("severity", "file", "line", "column", "code", "message", "help"),
                [
                    (str(one.severity), one.position.file, one.position.line, one.position.column, one.code,
                     one.message, one.help)
                    for one in project.spec_findings
                ],
            ),
            project=project,
        )  # fmt: skip

    def show_flow(self, request: Request) -> Page:
        """Return the resources of a project and their dependencies."""
        project, spec = self.requests.find_spec(request)
        nodes = describe_flow(spec)
        addresses = self._link_nodes(project, spec, nodes)
        uses: dict[Key, list[Key]] = {}
        for node in nodes:
            for need in node.needs:
                uses.setdefault(need, []).append(node.key)
        return Page(
            template="flow.html",
            title="Flow",
            content={"nodes": nodes},
            values={"drawing": draw_flow(nodes, addresses, self.redact), "addresses": addresses, "uses": uses},
            table=Table(
                ("kind", "name", "of kind", "needs"),
                [(node.word, node.name, node.kind, ", ".join(name for _, name in node.needs)) for node in nodes],
            ),
            project=project,
        )

    def reload_specs(self, request: Request, _form: Mapping[str, str]) -> str:
        """Read all specs of the server again."""
        self.requests.control.reload()
        return links.build_link(links.SPEC, project=request.path_params["project"])

    def _link_nodes(self, project: ServedProject, spec: ProjectSpec, nodes: Sequence[FlowNode]) -> dict[Key, str]:
        """Return the addresses of resources: pages of stores and scenarios, else the lines of the spec."""
        files = _list_files(project)
        found: dict[Key, str] = {}
        for node in nodes:
            if node.section == "evaluation_stores":
                found[node.key] = links.build_link(links.STORE, project=project.name, store=node.name)
            elif node.section == "scenarios":
                found[node.key] = links.build_link(links.SCENARIO, project=project.name, scenario=node.name)
            else:
                found[node.key] = _link_position(project, files, spec.position(node.section, node.name))
        return found


def _list_files(project: ServedProject) -> dict[str, Path]:
    """Return the files of a spec by their paths relative to the folder of the spec."""
    known = project.spec.files if project.spec else ()
    found = (project.path, *known)
    return {os.path.relpath(path, project.path.parent): path for path in found}


def _link_position(project: ServedProject, files: Mapping[str, Path], position: Position) -> str:
    name = next((name for name, path in files.items() if _is_same_file(position.file, path)), None)
    if name is None:
        return ""
    return links.build_link(links.SPEC, {"file": name}, project=project.name) + f"#line-{position.line}"


def _is_same_file(file: str, path: Path) -> bool:
    return Path(file).absolute() == path.absolute()
