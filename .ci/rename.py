# ruff: noqa
"""Rename definitions and modules throughout the repository, as tables of JSON say.

    python rename.py TABLE.json …

An entry is {"file", "name", "to"} for a function, class, constant, or "Class.member"; or {"file", "module"} for a
module that moves. References are found by a language server (basedpyright), so that methods and attributes follow
their types; all edits are computed on the unchanged text and applied together. Modules move last.
"""

import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote, urlparse

ROOT = Path.cwd().resolve()


class LanguageServer:
    """A basedpyright process, asked over its standard streams."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "basedpyright-langserver"), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self.number = 0
        self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": ROOT.as_uri(),
                "workspaceFolders": [{"uri": ROOT.as_uri(), "name": "root"}],
                "capabilities": {
                    "workspace": {"configuration": True, "workspaceEdit": {"documentChanges": True}},
                    "textDocument": {"rename": {"prepareSupport": False}},
                },
            },
        )
        self.notify("initialized", {})

    def send(self, message: dict) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def notify(self, method: str, params: dict) -> None:
        self.send({"method": method, "params": params})

    def request(self, method: str, params: dict):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while True:
            message = self.receive()
            if message.get("id") == self.number and "method" not in message:
                if "error" in message:
                    raise RuntimeError(message["error"])
                return message.get("result")
            if "id" in message and "method" in message:  # the server asks us
                if message["method"] == "workspace/configuration":
                    result = [
                        {
                            "diagnosticMode": "openFilesOnly",
                            "analysis": {"diagnosticMode": "openFilesOnly", "indexing": False},
                        }
                        if "python" in str(i.get("section")) or "pyright" in str(i.get("section"))
                        else None
                        for i in message["params"]["items"]
                    ]
                else:
                    result = None
                self.send({"id": message["id"], "result": result})

    def receive(self) -> dict:
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if not length:
            raise RuntimeError("the server ended")
        return json.loads(self.process.stdout.read(length))


def find_name(path: Path, dotted: str) -> tuple[int, int]:
    """Return the line and column, from 0, of the name that a definition gives."""
    text = path.read_text()
    lines = text.splitlines()
    node = ast.parse(text)
    *outer, last = dotted.split(".")
    for part in outer:
        node = next(n for n in node.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == part)
    found = []
    candidates = list(node.body)
    for n in node.body:  # definitions under `if`, `try`
        if isinstance(n, ast.If | ast.Try):
            candidates += [*n.body, *n.orelse]
    for n in candidates:
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and n.name == last:
            at = n.lineno - 1
            while not re.search(rf"\b(def|class)\s+{last}\b", lines[at]):
                at += 1
            found.append((at, re.search(rf"\b(?:def|class)\s+({last})\b", lines[at]).start(1)))
        elif isinstance(n, ast.Assign | ast.AnnAssign):
            for target in n.targets if isinstance(n, ast.Assign) else [n.target]:
                for t in ast.walk(target):
                    if isinstance(t, ast.Name) and t.id == last:
                        found.append((t.lineno - 1, len(lines[t.lineno - 1].encode()[: t.col_offset].decode())))
        elif isinstance(n, ast.TypeAlias) if hasattr(ast, "TypeAlias") else False:
            found.append((n.name.lineno - 1, n.name.col_offset))
    if not found and outer:
        for n in ast.walk(node):
            if (
                isinstance(n, ast.Attribute)
                and n.attr == last
                and isinstance(n.ctx, ast.Store)
                and isinstance(n.value, ast.Name)
                and n.value.id == "self"
            ):
                line = lines[n.end_lineno - 1]
                found.append((n.end_lineno - 1, n.end_col_offset - len(last)))
                break
    if not found:
        raise LookupError(f"{path}: no {dotted}")
    return found[0]


def main() -> None:
    entries = [e for table in sys.argv[1:] for e in json.loads(Path(table).read_text())]
    moves = {e["file"]: e["module"] for e in entries if "module" in e}
    names = [e for e in entries if "to" in e]
    server = LanguageServer()
    tracked = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        server.notify(
            "textDocument/didOpen",
            {
                "textDocument": {
                    "uri": (ROOT / name).as_uri(),
                    "languageId": "python",
                    "version": 1,
                    "text": (ROOT / name).read_text(),
                }
            },
        )
    edits: dict[Path, dict[tuple, str]] = defaultdict(dict)
    problems = []
    for i, entry in enumerate(names):
        path = ROOT / entry["file"]
        try:
            line, column = find_name(path, entry["name"])
        except (LookupError, OSError, StopIteration) as error:
            problems.append(f"not found: {entry} ({error})")
            continue
        try:
            result = server.request(
                "textDocument/rename",
                {
                    "textDocument": {"uri": path.as_uri()},
                    "position": {"line": line, "character": column},
                    "newName": entry["to"],
                },
            )
        except RuntimeError as error:
            problems.append(f"refused: {entry} ({error})")
            continue
        changes = []
        if result:
            for change in result.get("documentChanges", []):
                changes.append((change["textDocument"]["uri"], change["edits"]))
            changes += list(result.get("changes", {}).items())
        if not changes:
            problems.append(f"nothing: {entry}")
        for uri, some in changes:
            file = Path(unquote(urlparse(uri).path))
            if ROOT not in file.parents:
                problems.append(f"outside: {entry} {file}")
                continue
            for edit in some:
                r = edit["range"]
                key = (r["start"]["line"], r["start"]["character"], r["end"]["line"], r["end"]["character"])
                if edits[file].get(key, edit["newText"]) != edit["newText"]:
                    problems.append(
                        f"two names for one place: {file}:{key} {edits[file][key]} {edit['newText']} {entry}"
                    )
                edits[file][key] = edit["newText"]
        if i % 50 == 0:
            print(i, len(names), flush=True)
    for file, some in edits.items():
        lines = file.read_text().splitlines(keepends=True)
        last = None
        for (l1, c1, l2, c2), new in sorted(some.items(), reverse=True):
            if last is not None and (l2, c2) > last:
                problems.append(f"overlap: {file}:{l1 + 1}:{c1} {new}")
                continue
            last = (l1, c1)
            assert l1 == l2, (file, l1)
            u = lines[l1].encode("utf-16-le")  # the protocol counts in UTF-16
            lines[l1] = (u[: 2 * c1] + new.encode("utf-16-le") + u[2 * c2 :]).decode("utf-16-le")
        file.write_text("".join(lines))
    move(moves, problems)
    print("\n".join(problems))
    print(f"{len(names)} names in {len(edits)} files, {len(moves)} modules, {len(problems)} problems")


def move(moves: dict[str, str], problems: list[str]) -> None:
    dotted = {
        old.removesuffix(".py").removesuffix("/__init__").replace("/", "."): new.removesuffix(".py")
        .removesuffix("/__init__")
        .replace("/", ".")
        for old, new in moves.items()
    }
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files:
        file = ROOT / name
        if file.is_symlink() or not file.is_file() or file.suffix in (".png", ".profile", ".parquet"):
            continue
        try:
            text = before = file.read_text()
        except UnicodeDecodeError:
            continue
        if file.suffix == ".py":
            text = rename_imported_modules(name, text, dotted, problems)
        for old, new in sorted(dotted.items(), key=lambda pair: -len(pair[0])):
            text = re.sub(rf"(?<![\w.]){re.escape(old)}(?![\w])", new, text)
        for old, new in moves.items():
            text = re.sub(rf"(?<![\w]){re.escape(old)}(?![\w])", new, text)
        if text != before:
            file.write_text(text)
    for old, new in moves.items():
        (ROOT / new).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "mv", old, new], check=True)


def rename_imported_modules(name: str, text: str, dotted: dict[str, str], problems: list[str]) -> str:
    """Rename in `from package import module` and the uses of that name."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        problems.append(f"{name}: {error}")
        return text
    lines = text.splitlines(keepends=True)
    places: list[tuple[int, int, str, str]] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            if full not in dotted:
                continue
            package, new = dotted[full].rsplit(".", 1)
            if package != node.module:
                problems.append(f"{name}:{node.lineno}: {full} moves to another package, change this import by hand")
                continue
            places.append((alias.lineno, alias.col_offset, alias.name, new))
            if alias.asname:
                continue
            stores = [
                n
                for n in ast.walk(tree)
                if isinstance(n, ast.Name) and n.id == alias.name and isinstance(n.ctx, ast.Store)
            ]
            args = [a for a in ast.walk(tree) if isinstance(a, ast.arg) and a.arg == alias.name]
            if stores or args:
                problems.append(f"{name}: {alias.name} is a module and a local name; look at it")
            for n in ast.walk(tree):
                if isinstance(n, ast.Name) and n.id == alias.name:
                    places.append((n.lineno, n.col_offset, alias.name, new))
    for line, column, old, new in sorted(set(places), reverse=True):
        b = lines[line - 1].encode()
        assert b[column : column + len(old)] == old.encode(), (name, line, column, old)
        lines[line - 1] = (b[:column] + new.encode() + b[column + len(old) :]).decode()
    return "".join(lines)


if __name__ == "__main__":
    main()
