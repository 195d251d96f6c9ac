"""A page as data, and its three formats: HTML for people, JSON of the same content, CSV of its table."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response

import engine.views
from engine import __version__
from engine.formatting.control_characters import make_encodable
from engine.formatting.formulas import is_formula
from engine.formatting.moments import format_minute, format_second
from engine.formatting.numbers import format_bytes, format_duration
from engine.formatting.templates import create_html_environment
from engine.server import links
from engine.server.answers import AnswerError, build_answer, build_error_answer, make_json
from engine.server.callers import Caller, Role, prefers_html
from engine.server.pages.static_files import StaticFiles
from engine.service.control import ServedProject, ServerControl
from engine.spec.secrets.redaction import redact_values
from engine.spec.secrets.values import Secrets
from engine.store import utc_now
from engine.views.layout import NUMBER_FILTERS
from engine.views.trigger_view import name_starter

if TYPE_CHECKING:
    import jinja2

PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
}
"""Security headers by which browsers load and execute only our own files, whatever texts the data contain."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table for programs: the names of its columns, and its rows, which are iterated when it is written."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page.

    Attributes
    ----------
    template
        The name of its template, which gets `values` and `content`.
    title
        The title of the page.
    content
        The content of the page as data, for JSON and the template.
    values
        Further values for the template, such as drawings and links.
    table
        The table for CSV, or a function that returns it if that is slow; None without a table.
    project
        The project of the page; None for a page of the server.
    status
        The HTTP status.
    """

    template: str
    title: str
    content: Any
    values: Mapping[str, Any] = field(default_factory=dict)
    table: Table | Callable[[], Table] | None = None
    project: ServedProject | None = None
    status: int = 200


class PageForms:
    """Renders pages, with the secrets of all projects of the server masked.

    Parameters
    ----------
    has_node
        Whether the server is a node, with pages of bundles and deployments.
    copied
        Whether the pages are written to files, without searches, choices and forms.
    """

    def __init__(self, control: ServerControl, files: StaticFiles, *, has_node: bool, copied: bool = False) -> None:
        self._control, self._files, self._has_node, self._copied = control, files, has_node, copied
        self._secrets: list[Secrets] = []
        self._specs: list[object] = []
        self._templates: jinja2.Environment | None = None

    def redact(self, text: str) -> str:
        """Mask the secrets in a text."""
        self._find_secrets()
        return self._mask(text)

    def write_html(self, page: Page, caller: Caller | None, connection: HTTPConnection) -> Response:
        """Return a page as HTML."""
        role = caller.role if caller else 0
        self._find_secrets()
        text = (
            self._find_templates()
            .get_template(page.template)
            .render(
                page=page,
                content=page.content,
                project=page.project,
                caller=caller,
                may_operate=role >= Role.OPERATOR,
                may_deploy=role >= Role.DEPLOYER,
                may_administer=role >= Role.ADMIN,
                has_node=self._has_node,
                copied=self._copied,
                made=utc_now(),
                here=links.add_query(connection.scope["raw_path"].decode("latin-1"), connection.query_params),
                path=connection.scope["raw_path"].decode("latin-1"),
                **page.values,
            )
        )
        return Response(make_encodable(text), page.status, PAGE_HEADERS, media_type="text/html; charset=utf-8")

    def write_json(self, page: Page) -> Response:
        """Return the content of a page as JSON."""
        self._find_secrets()
        return build_answer(redact_values(make_json(page.content), self._mask), page.status)

    def write_csv(self, page: Page) -> Response:
        """Return the table of a page as CSV; a text that a spreadsheet would execute is prefixed by an apostrophe."""
        if page.table is None:
            raise AnswerError(404, "this page has no table", "its content is there as .json")
        self._find_secrets()
        table = page.table() if callable(page.table) else page.table
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\r\n")
        writer.writerow([self._write_cell(name) for name in table.columns])
        writer.writerows([self._write_cell(cell) for cell in row] for row in table.rows)
        return Response(make_encodable(written.getvalue()), media_type="text/csv; charset=utf-8")

    def write_problem(self, connection: HTTPConnection, problem: AnswerError) -> Response:
        """Return the answer for an error: a page for a browser, else JSON; without a session, the login page."""
        if not prefers_html(connection.headers):
            return build_error_answer(problem)
        help_ = problem.help
        needs_login = problem.status == 401 and links.is_page(connection.scope["path"])
        if needs_login:
            if connection.scope["method"] in ("GET", "HEAD"):
                query = {key: value for key, value in connection.query_params.multi_items() if key != "token"}
                here = links.add_query(connection.scope["raw_path"].decode("latin-1"), query)
                return RedirectResponse(links.build_link(links.LOGIN, {"next": here}), 303)
            help_ = "nothing was done; the session may have ended"
        page = Page(
            template="problem.html",
            title=str(problem.error),
            content={"error": problem.error, "help": help_},
            values={"offers_login": needs_login},
            status=problem.status,
        )
        response = self.write_html(page, connection.scope.get("caller"), connection)
        response.headers.update(problem.headers or {})
        return response

    def _find_secrets(self) -> None:
        """Update the list of secrets if a spec has changed; called once per page, not for each text."""
        specs = [project.spec for project in self._control.list_projects() if project.spec is not None]
        if len(specs) != len(self._specs) or any(a is not b for a, b in zip(specs, self._specs, strict=True)):
            self._secrets, self._specs = [Secrets(spec) for spec in specs], list(specs)

    def _mask(self, text: str) -> str:
        for secrets in self._secrets:
            text = secrets.redact(text)
        return text

    def _write_cell(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, datetime):
            return value.isoformat()
        text = self._mask(str(value))
        return f"'{text}" if isinstance(value, str) and is_formula(text) else text

    def _find_templates(self) -> "jinja2.Environment":
        if self._templates is None:
            folders = [Path(__file__).parents[1] / "templates", Path(engine.views.__file__).parent]
            found = create_html_environment(folders, self._mask)
            found.filters |= {
                **NUMBER_FILTERS,
                "bytes": format_bytes,
                "duration": format_duration,
                "minute": format_minute,
                "second": format_second,
                "starter": name_starter,
                "sentence": lambda text: text[:1].upper() + text[1:],
            }
            found.globals |= {
                "link": links.build_link,
                "links": links,
                "static": self._files.find_url,
                "version": __version__,
            }
            self._templates = found
        return self._templates
