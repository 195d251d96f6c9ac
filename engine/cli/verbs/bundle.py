"""Create, show, compare, sign, verify, publish, export and import bundles: versions of a project, one file each."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import AsOf, SpecFile, TextOrJson, Variables, load_project
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.bundles.signatures import TrustedKey

SpecOrFile = Annotated[
    Path, typer.Argument(metavar="SPEC|FILE", help="The spec file, or the file of a bundle.", show_default=False)
]
OptionalName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="The bundle of the spec, by its name or id.", show_default=False),
]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The bundle of the spec, by its name or id.", show_default=False)
]


def list_bundles(path: SpecFile, var: Variables = None, format_: TextOrJson = "text") -> int:
    """List the bundles of a spec: those created here, and those published in its registry."""
    project = load_project(path, var)

    from engine.bundles.project_bundles import list_project_bundles
    from engine.cli.printers.bundle_printers import print_list

    found = list_project_bundles(project)
    print_list([asdict(one) for one in found], format_)
    return ExitCode.COULD_NOT_RUN if any(one.problem for one in found) else ExitCode.OK


def create_bundle(
    path: SpecFile,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A bundle that the spec declares.", show_default=False)],
    sign: Annotated[
        list[Path] | None,
        typer.Option(
            "--sign",
            metavar="KEY",
            help="A private Ed25519 key (PEM) to sign the bundle with. openssl genpkey -algorithm ed25519 creates one. "
            "Can be repeated.",
        ),
    ] = None,
    var: Variables = None,
    as_of: AsOf = None,
    format_: TextOrJson = "text",
) -> int:
    """Create a bundle: build the datasets and models that it includes, and pack them with the spec and its code."""
    project = load_project(path, var, as_of)

    from engine.api import Project
    from engine.cli import output
    from engine.cli.printers import bundle_printers

    with output.show_progress(verbose=False) as listen:
        made = Project(project, os.environ, (listen,)).create_bundle(name, keys=sign or [])
    bundle_printers.print_created(made, format_)
    return ExitCode.OK


def show_bundle(
    path: SpecOrFile, name: OptionalName = None, var: Variables = None, format_: TextOrJson = "text"
) -> int:
    """Show the content of a bundle, its data and models, and its requirements for a deployment."""
    archive = _find_archive(path, name, var)

    from engine.bundles.archive_checks import open_archive
    from engine.cli.printers.bundle_printers import print_bundle

    with open_archive(archive) as opened:
        print_bundle(opened, name or path.name, format_)
    return ExitCode.OK


def compare_two(
    path: SpecOrFile,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="BUNDLE…",
            help="With a SPEC: the two bundles to compare, by name, id or file. With a FILE: the other file.",
            show_default=False,
        ),
    ],
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """Show the difference between two bundles: the text of the spec, data, models, code and other files."""
    if _is_archive(path):
        names = [str(path), *names]
    if len(names) != 2:
        raise typer.BadParameter("two bundles are needed: engine bundle diff SPEC A B, or engine bundle diff FILE FILE")
    files = [Path(one) if _is_archive(Path(one)) else _find_archive(path, one, var) for one in names]

    from engine.bundles.archive_checks import open_archive
    from engine.bundles.bundle_diff import compare_bundles
    from engine.cli.printers.bundle_printers import print_difference

    with ExitStack() as opened:
        before, after = (opened.enter_context(open_archive(file)) for file in files)
        print_difference(compare_bundles(before, after), names, format_)
    return ExitCode.OK


def verify_bundle(
    path: SpecOrFile,
    name: OptionalName = None,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", metavar="FILE", help="A public Ed25519 key (PEM) to trust. Can be repeated."),
    ] = None,
    require: Annotated[
        int | None,
        typer.Option(min=0, help="How many of the keys must have signed the bundle; by default 1 if keys are given."),
    ] = None,
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """Check every byte of a bundle, and its signatures. Exit code 3: it is damaged, or a signature is missing."""
    archive = _find_archive(path, name, var)
    keys = _load_keys(key or [])

    from engine.bundles.archive_checks import open_archive, verify_open_archive
    from engine.cli.printers.bundle_printers import print_verified

    needed = require if require is not None else 1 if keys else 0
    with open_archive(archive) as opened:
        print_verified(opened, verify_open_archive(opened, keys, needed), name or path.name, format_)
    return ExitCode.OK


def sign_file(
    path: SpecOrFile,
    name: OptionalName = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="The private Ed25519 key (PEM). openssl genpkey -algorithm ed25519 creates one.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
) -> int:
    """Add a signature to a bundle, after checking every byte of it."""
    if key is None:
        raise typer.BadParameter("--key FILE is missing: the private key to sign with")
    archive = _find_archive(path, name, var)

    from engine.bundles.archive_checks import add_signature, verify_archive
    from engine.bundles.signatures import sign_bundle

    found = verify_archive(archive)
    signature = sign_bundle(found.manifest.id, found.provenance, key)
    add_signature(archive, signature)
    print(f"{name or path.name}: signed by the key {signature.keyid[:12]}…")
    return ExitCode.OK


def publish_named(path: SpecFile, name: Name, var: Variables = None) -> int:
    """Publish a bundle created here in the registry of the spec. Its name cannot be used for another bundle there."""
    project = load_project(path, var)

    from engine.bundles.project_bundles import publish_bundle, require_published

    id_ = publish_bundle(project, name)
    print(f"{name}: published in {require_published(project).place} as {id_}")
    return ExitCode.OK


def export_bundle(
    path: SpecFile,
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist.", show_default=False)
    ],
    var: Variables = None,
) -> int:
    """Write a bundle of the spec to a file, after checking every byte of it."""
    archive = _find_archive(path, name, var)

    from engine.bundles.registry import copy_archive

    id_ = copy_archive(archive, file)
    print(f"{name}: {id_} was written to {file}")
    return ExitCode.OK


def import_file(
    path: SpecFile,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of a bundle.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="The name of the bundle; by default the name of the file.", show_default=False
        ),
    ] = None,
    var: Variables = None,
) -> int:
    """Add the file of a bundle to the bundles of a spec, under a name, after checking every byte of it."""
    project = load_project(path, var)

    from engine.bundles.project_bundles import import_bundle

    id_ = import_bundle(project, file, name or file.stem)
    print(f"{name or file.stem}: {id_} was added to the bundles of {project.name}")
    return ExitCode.OK


COMMANDS: dict[str, Callable[..., int]] = {
    "create": create_bundle,
    "list": list_bundles,
    "show": show_bundle,
    "diff": compare_two,
    "verify": verify_bundle,
    "sign": sign_file,
    "publish": publish_named,
    "export": export_bundle,
    "import": import_file,
}


def _is_archive(path: Path) -> bool:
    """Return whether a path is an archive rather than a spec, by its name or its first bytes."""
    if path.suffix.lower() == ".zip":
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _find_archive(path: Path, name: str | None, var: list[str] | None) -> Path:
    """Return the archive of a bundle given as a file, or as a spec and a name."""
    if _is_archive(path):
        if name is not None:
            raise typer.BadParameter(f"{path} is the file of a bundle: leave out {name!r}, or give the spec instead")
        return path
    project = load_project(path, var)
    if name is None:
        raise typer.BadParameter("give the name of a bundle after the spec: engine bundle list SPEC shows them")

    from engine.bundles.project_bundles import find_bundle

    return find_bundle(project, name).path


def _load_keys(files: list[Path]) -> "list[TrustedKey]":
    from engine.bundles.signatures import load_trusted_key

    return [load_trusted_key(file.stem, file) for file in files]
