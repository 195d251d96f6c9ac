"""The style sheets and scripts of the pages, our own and vendored ones, which are part of the package.

The address of each contains a digest of its content, so browsers can cache it forever and never use an old version.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import engine.views
from engine.server.links import STATIC

_OWN = Path(__file__).parents[1] / "static"
_FOLDERS = {"report.css": Path(engine.views.__file__).parent}
FILES = ("report.css", "engine.css", "engine.js", "htmx.min.js", "uplot.min.js", "uplot.min.css", "icon.svg")
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file with its media type, its content plain and compressed, and its address."""

    media_type: str
    content: bytes
    compressed: bytes
    url: str


class StaticFiles:
    """The files, read once."""

    def __init__(self) -> None:
        self._files = {name: _read_file(name) for name in FILES}

    def find_url(self, name: str) -> str:
        """Return the address of a file."""
        return self._files[name].url

    async def answer(self, request: Request) -> Response:
        """Answer a request for a file by its name; with an old digest in the address, the answer is not cached."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        if found.url != request.url.path:
            headers["cache-control"] = "no-store"
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                found.compressed, headers={**headers, "content-encoding": "gzip"}, media_type=found.media_type
            )
        return Response(found.content, headers=headers, media_type=found.media_type)


def _read_file(name: str) -> StaticFile:
    content = (_FOLDERS.get(name, _OWN) / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return StaticFile(_TYPES[Path(name).suffix], content, gzip.compress(content, mtime=0), f"{STATIC}{digest}/{name}")
