"""The projects of these tests as JSON values, and projects in memory."""

import io
from pathlib import Path
from typing import Any

from engine.dss.json_objects import parse_lenient_json
from engine.dss.source import ProjectFiles

PROJECTS = Path(__file__).parent / "projects"


def read_documents(project: str) -> dict[str, Any]:
    """Return the JSON values of a project, by the path of the file."""
    return {
        path.relative_to(PROJECTS / project).as_posix(): parse_lenient_json(path.read_text(encoding="utf-8"))
        for path in sorted((PROJECTS / project).rglob("*"))
        if path.is_file() and path.suffix != ".py" and path.name != "apikeys.json"
    }


def list_places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in [(*path, key), *list_places(one, (*path, key))]]


def as_files(texts: dict[str, bytes]) -> ProjectFiles:
    """Return a project whose files have these contents."""
    sizes = {name: len(text) for name, text in texts.items()}
    return ProjectFiles(sizes, "", {}, lambda name: io.BytesIO(texts[name]), "project")
