"""Writes the pages of a project to files, for people without a server: all pages that a viewer can reach by links.

The pages are requested from the server's application inside this process, so that there is only one set of templates.
Links between copied pages become relative, other links become text, and forms are removed.
"""

import asyncio
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2

from engine.atomic_files import replace_files
from engine.errors import DeliveryError
from engine.server import links
from engine.server.app import build_app
from engine.server.callers import Caller, Role
from engine.server.tokens import OneToken
from engine.service.control import NextTimes, RefusedRequestError, ServedProject
from engine.spec import ProjectSpec
from engine.store import Store

MOST_PAGES = 2000
"""Most pages that are copied; links to others become text."""

INDEX = "index.html"
_ADDRESS = re.compile(r'<a href="([^"]*)"|(href|src)="(/static/[^"]*)"')
_NOT_COPIED = re.compile(r"\.(json|csv)$|^/(login|logout|projects)$")
_CHOICES = re.compile(r"(^|&)(find|metric|superseded|reference|with)=")
_TOKEN = "x" * 32


class _ViewerToken(OneToken):
    def identify(self, token: str) -> Caller:
        super().identify(token)
        return Caller("copy", Role.VIEWER)


@dataclass
class _ReadControl:
    """The control of a project that no server runs; it refuses all requests."""

    project: ServedProject

    def measure_tick_age(self) -> float:
        return 0.0

    def is_draining(self) -> bool:
        return False

    def list_projects(self) -> Sequence[ServedProject]:
        return [self.project]

    def list_next_times(self, project: str, count: int) -> Sequence[NextTimes]:
        return ()

    def _refuse(self, *_: Any) -> Any:
        raise RefusedRequestError("this is a copy")

    reload = request_run = abort_run = pause = resume = _refuse


@dataclass
class PageCopy:
    """A copy of pages.

    Attributes
    ----------
    left_out
        The number of links to pages that are not copied because there are too many.
    """

    files: dict[str, str] = field(default_factory=dict)
    left_out: int = 0


def copy_pages(spec: ProjectSpec, store: Store, folder: Path, most: int = MOST_PAGES) -> PageCopy:
    """Write the pages of a project into a folder; `index.html` shows its status.

    Raises
    ------
    DeliveryError
        A file cannot be written.
    """
    control = _ReadControl(ServedProject(spec.name, spec.path, spec, store, leader=True))
    faults: list[str] = []
    app = build_app(control, _ViewerToken(_TOKEN), faults.append, copied=True)
    start = links.build_link(links.PROJECT, project=spec.name)
    try:
        with replace_files(folder) as new:
            copied = asyncio.run(_write_pages(httpx2.ASGITransport(app), start, new, most))
            if faults:
                raise DeliveryError(faults[0])
    except OSError as error:
        raise DeliveryError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error
    return copied


async def _write_pages(transport: httpx2.ASGITransport, start: str, folder: Path, most: int) -> PageCopy:
    headers = {"authorization": f"Bearer {_TOKEN}", "accept": "text/html"}
    copied = PageCopy({start: INDEX})
    pages: dict[str, str] = {}
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        waiting = [start]
        while waiting:
            # the pages of columns are the most numerous, so they come last
            address = waiting.pop(next((i for i, one in enumerate(waiting) if "/column?" not in one), 0))
            answer = await client.get(address, follow_redirects=True)
            if answer.status_code != 200:
                del copied.files[address]
                continue
            pages[address] = answer.text
            for found in map(_read_address, _ADDRESS.finditer(answer.text)):
                if not found.startswith("/") or found in copied.files or _is_left(found):
                    continue
                is_page = not found.startswith(links.STATIC)
                if is_page and len(pages) + len(waiting) >= most:
                    copied.left_out += 1
                    continue
                copied.files[found] = _name_file(found)
                if is_page:
                    waiting.append(found)
                else:
                    _write_file(folder / copied.files[found], (await client.get(found)).content)
    for address, text in pages.items():
        _write_file(folder / copied.files[address], _rewrite_links(text, address, copied).encode("utf-8"))
    return copied


def _read_address(found: re.Match[str]) -> str:
    return html.unescape(found[1] if found[1] is not None else found[3]).partition("#")[0]


def _is_left(address: str) -> bool:
    """Return whether an address is not copied: JSON and CSV, and pages with searches, choices or computed results."""
    parts = urlsplit(address)
    return bool(_NOT_COPIED.search(parts.path) or _CHOICES.search(parts.query))


def _name_file(address: str) -> str:
    """Return the path of a page's file; parts that are not safe file names get a digest, so that names are unique."""
    parts = urlsplit(address)
    names = [_name_part(unquote(part)) for part in parts.path.strip("/").split("/")]
    if address.startswith(links.STATIC):
        return "/".join(["static", names[-1]])
    chosen = f"-{_digest(parts.query)}" if parts.query else ""
    return "/".join([*names[2:-1], f"{names[-1]}{chosen}.html"])


def _name_part(text: str) -> str:
    plain = re.sub(r"[^\w-]+(?!(js|css|svg)$)", "-", text)[:60]
    return text if plain == text else f"{plain}-{_digest(text)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _rewrite_links(text: str, address: str, copied: PageCopy) -> str:
    up = "../" * copied.files[address].count("/")

    def rewrite(found: re.Match[str]) -> str:
        target = _read_address(found)
        fragment = (found[1] or "").partition("#")[1:]
        if not target.startswith("/"):
            return found[0]
        file = copied.files.get(target)
        if found[2]:
            return f'{found[2]}="{up}{file}"'
        return f'<a href="{up}{file}{"".join(fragment)}"' if file else "<a"

    return _ADDRESS.sub(rewrite, text)


def _write_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
