"""The last valid version of a spec, which a server uses even if the files have changed since."""

import re
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine.errors import Diagnostic, EngineError, Severity, SpecError, UsageError
from engine.file_identity import FileIdentity
from engine.service.deployments.node_mark import find_marked_node
from engine.service.deployments.places import NODE_FILE, POINTER
from engine.service.serve_listener import ServeListener
from engine.service.sources.file_set import FileSet
from engine.service.sources.watched_sources import WatchedSource
from engine.spec import ProjectSpec, list_spec_files, load
from engine.spec.sql.kept_answers import AnswerNotKeptError, refuse_parsing

LOAD_SECONDS = 60.0
"""Time limit for a process that loads a spec."""

_PROJECT_KEY = re.compile(rb"^project\s*:", re.MULTILINE)


class ServedSpec:
    """A spec file, which `read` reads again.

    Parameters
    ----------
    looked_at
        Whether the server watches the files for changes.

    Attributes
    ----------
    path
        The spec file.
    project
        The last valid project; None if there was none yet.
    problems
        The errors of the files at their last reading, as text; empty if they were valid.
    findings
        All diagnostics of the last reading, including warnings.
    """

    def __init__(self, path: Path, listener: ServeListener, *, looked_at: bool) -> None:
        self.path = path
        self._looked_at = looked_at
        self.project: ProjectSpec | None = None
        self.problems: tuple[str, ...] = ()
        self.findings: tuple[Diagnostic, ...] = ()
        self._listener = listener
        self._files = FileSet(time.monotonic)
        self._reported: tuple[str, ...] = ()
        self._sources: list[WatchedSource] = []
        self._revision: tuple[str, FileIdentity | None] = ("", None)

    def read(self) -> bool:
        """Read the files and report new problems; return whether the project has changed."""
        before, node_file = self.project, self._node_file
        if self.is_deployment:
            self._revision = self._identify_revision()
        reason = ""
        try:
            project = _load_without_parser(self.path)
            _require_confinement(project, self.path)
            self.project = project
        except SpecError as wrong:
            self.findings = wrong.diagnostics
            self.problems = tuple(str(SpecError((one,))) for one in wrong.diagnostics if one.severity is Severity.ERROR)
            if self.problems != self._reported:
                self._listener.show_findings(wrong.diagnostics)
        except EngineError as wrong:
            reason = str(wrong)
            self.problems, self.findings = (reason,), ()
        else:
            self._listener.mask_secrets(self.project)
            self.problems, self.findings = (), project.warnings
            if self._node_file != node_file:
                self._revision = self._revision[0], self._identify_revision()[1]
        if self.problems and self.problems != self._reported:
            text = f"{reason}. {self._explain_invalid()}" if reason else self._explain_invalid()
            self._listener.report("invalid spec", text, spec=str(self.path))
        elif self._reported and not self.problems:
            self._listener.report("valid spec", f"{self.path} is valid again", spec=str(self.path))
        self._reported = self.problems
        self._sources = [WatchedSource("spec", path) for path in list_spec_files(self.path)]
        self._files.look(self._sources, lambda _: False)
        return self.project is not None and (before is None or self.project.digest != before.digest)

    def _explain_invalid(self) -> str:
        """Return the consequence of an invalid spec, and what to do."""
        if self.project is None:
            then = "it is not served until it is corrected"
        else:
            then = (
                "the triggers of its last valid content stay in use, and runs that are due until it is corrected are "
                "SKIPPED"
            )
        how = "" if self._looked_at else "; then reload it with SIGHUP or POST /reload, or use the option --reload"
        return f"{self.path} is invalid: {then}{how}"

    @property
    def is_deployment(self) -> bool:
        """Whether this is the link to the active revision of a deployment, which an update may replace at any time."""
        return self.path.name == POINTER and self.path.is_symlink()

    @property
    def _node_file(self) -> Path | None:
        """The node.yaml of the last valid project."""
        return self.project.confinement.node_file if self.project and self.project.confinement else None

    def _identify_revision(self) -> tuple[str, FileIdentity | None]:
        """Return a value that changes when another revision is active, or the node.yaml has changed."""
        found = None
        if node_file := self._node_file:
            with suppress(OSError):
                found = FileIdentity.from_stat(node_file.stat())
        return str(self.path.readlink()), found

    @property
    def is_removed(self) -> bool:
        """Whether this was the link to a deployment's active revision, and the link does not exist any more."""
        return bool(self._revision[0]) and not self.path.is_symlink()

    def has_changed(self) -> bool:
        """Return whether the content of a file has changed since it was read, and has settled.

        For a deployment, whether another revision is active or its node.yaml has changed, because the files of a
        revision never change.
        """
        if self.is_deployment:
            return self._identify_revision() != self._revision
        self._files.look(self._sources, lambda _: False)
        return self._files.wait_seconds("spec") <= 0 and bool(self._files.take("spec"))


def _load_without_parser(path: Path) -> ProjectSpec:
    """Load a spec; SQL that is not in the cache is parsed in another process, because the parser needs much memory."""
    try:
        with refuse_parsing():
            return load(path)
    except AnswerNotKeptError:
        program = "import sys; from engine.spec import load; load(sys.argv[1])"
        with suppress(OSError, subprocess.TimeoutExpired):  # then this process has to parse it
            subprocess.run(  # noqa: S603 - the program is Python, and loads what this process would load
                [sys.executable, "-P", "-c", program, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=LOAD_SECONDS,
                check=False,
            )
        return load(path)


def _require_confinement(project: ProjectSpec, path: Path) -> None:
    """Raise UsageError if a deployment in the folder of a node is not confined by the node."""
    if project.revision is None or project.confinement is not None:
        return
    for folder in path.absolute().parents[2:4]:  # for the path of the link, or of a revision's file
        if (node := find_marked_node(folder)) is not None:
            raise UsageError(
                f"the deployment {project.revision.deployment!r} was made before {folder} became the folder of a node, "
                f"so {node} does not confine it: deploy it again, through the node or with the folder, and it does"
            )


def list_specs(paths: Iterable[Path]) -> list[Path]:
    """Return the spec files of paths: files themselves, and the YAML files with a `project:` in folders.

    For the folder of an infrastructure, the active revisions of its deployments are returned; there may be none yet.

    Raises
    ------
    UsageError
        A path does not exist, or a folder has no spec.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        if not path.is_dir():
            found.append(path)
            continue
        if (path / NODE_FILE).exists():  # the folder of an infrastructure
            found += sorted(path.glob(f"deployments/*/{POINTER}"))
            continue
        specs = [one for one in sorted(path.iterdir()) if one.suffix in (".yaml", ".yml") and _names_project(one)]
        if not specs:
            raise UsageError(f"{path} holds no spec: a YAML file with a line such as `project: NAME`")
        found += specs
    return list(dict.fromkeys(found))


def _names_project(path: Path) -> bool:
    try:
        return path.is_file() and _PROJECT_KEY.search(path.read_bytes()) is not None
    except OSError:
        return True  # the error is reported when it is read
