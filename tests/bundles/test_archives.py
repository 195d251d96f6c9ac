"""Archives that are right: the same bytes for equal contents, and the same files when they are laid down."""

import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bundles.archive_checks import open_archive, read_manifest, verify_archive
from engine.bundles.archive_writing import describe_content, write_archive
from engine.bundles.bundle_paths import find_path_problem
from engine.bundles.extraction import extract_archive, remove_extracted
from engine.bundles.manifest import OWN_FILES, Manifest
from engine.errors import BundleError

from .made import CONTENTS, PROVENANCE, make_archive, make_manifest


def read_tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_contents_give_equal_bytes_and_the_same_id_with_any_version_of_python(tmp_path: Path) -> None:
    """The values are those of Python 3.11 and 3.13: a change of them makes every bundle that was made another one."""
    manifest = make_manifest()
    one, other = tmp_path / "one.zip", tmp_path / "other" / "folder.zip"
    other.parent.mkdir()
    write_archive(one, manifest, CONTENTS, PROVENANCE)
    for name, content in CONTENTS.items():  # from files that are newer, in another order and with other modes
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    write_archive(other, manifest, {name: tmp_path / name for name in reversed(CONTENTS)}, PROVENANCE)
    assert one.read_bytes() == other.read_bytes()
    assert manifest.id == "f5b166d689151407cb14d20d9c441b236a0dec20a75c8f6f035aff57b6d1b347"
    assert sha256(one.read_bytes()).hexdigest() == "2915e26fdcba6a74d98b75313bbf579d00d0772dda871e55c2bbb7835b16b8b6"


def test_who_made_it_and_when_changes_the_archive_and_not_the_id(tmp_path: Path) -> None:
    manifest = make_manifest()
    later = PROVENANCE.model_copy(update={"created": "2026-11-29T00:00:00Z", "by": "bob"})
    ids = {
        write_archive(tmp_path / "one.zip", manifest, CONTENTS, PROVENANCE),
        write_archive(tmp_path / "other.zip", manifest, CONTENTS, later),
    }
    assert ids == {manifest.id}
    assert (tmp_path / "one.zip").read_bytes() != (tmp_path / "other.zip").read_bytes()
    assert make_manifest(notes="other").id != manifest.id


def test_other_programs_read_the_archive_and_write_the_same_bytes(tmp_path: Path) -> None:
    make_archive(tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as read, zipfile.ZipFile(tmp_path / "again.zip", "w") as written:
        assert read.testzip() is None
        for name in read.namelist():
            info = zipfile.ZipInfo(name)  # of 1980-01-01
            info.external_attr = 0o100644 << 16
            written.writestr(info, read.read(name))
        assert {name: read.read(name) for name in CONTENTS} == CONTENTS
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "bundle.zip").read_bytes()


paths = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=1, max_size=3
).map("/".join)


@given(st.dictionaries(paths, st.binary(max_size=300), min_size=1, max_size=8))
def test_whatever_can_be_packed_is_laid_down_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("packed")
    files = {path: describe_content(content, "file") for path, content in contents.items()}
    try:
        manifest = Manifest(project="p", spec=next(iter(files)), files=files)
    except ValueError as problem:
        said = str(problem)
        assert any(map(find_path_problem, contents)) or "cannot stand in one folder" in said
        return
    id_ = write_archive(folder / "bundle.zip", manifest, contents, PROVENANCE)
    extract_archive(folder / "bundle.zip", folder / "laid", id_)
    laid = read_tree(folder / "laid")
    assert {path: content for path, content in laid.items() if path not in OWN_FILES} == contents
    remove_extracted(folder / "laid")
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.zip"]


def test_what_is_laid_down_can_be_read_by_all_and_written_by_nobody(
    open_folder: Path, as_nobody: Callable[[], AbstractContextManager[None]]
) -> None:
    archive = open_folder / "bundle.zip"
    id_ = make_archive(archive)
    archive.chmod(0o644)
    before = os.umask(0o077)
    try:
        with as_nobody():
            extract_archive(archive, open_folder / "deep" / id_, id_)
            laid = open_folder / "deep" / id_
            modes = {stat.S_IMODE(path.stat().st_mode) for path in laid.rglob("*") if path.is_file()}
            folders = {stat.S_IMODE(path.stat().st_mode) for path in (laid, laid / "data")}
            assert (modes, folders) == ({0o444}, {0o555})
            with pytest.raises(PermissionError):
                (laid / "more").touch()
            remove_extracted(laid)
            assert not laid.exists()
    finally:
        os.umask(before)


def test_another_bundle_than_was_asked_for_is_not_laid_down(tmp_path: Path) -> None:
    make_archive(tmp_path / "bundle.zip")
    other = make_manifest(notes="another").id
    with pytest.raises(BundleError, match=rf"holds the bundle .*, but {other[:12]}… was asked for"):
        extract_archive(tmp_path / "bundle.zip", tmp_path / "laid", other)
    assert not (tmp_path / "laid").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_there_is_never_replaced(kind: str, tmp_path: Path) -> None:
    id_ = make_archive(tmp_path / "bundle.zip")
    laid = tmp_path / "laid"
    {"folder": laid.mkdir, "file": laid.touch, "link": lambda: laid.symlink_to("nowhere")}[kind]()
    with pytest.raises(BundleError, match="laid is already there"):
        extract_archive(tmp_path / "bundle.zip", laid, id_)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.zip", "laid"]


def test_without_room_nothing_is_left(tmp_path: Path) -> None:
    """A limit of the size of a file stands for a full disk: the writing fails in the middle."""
    contents = {"spec.yaml": b"x" * 300_000}
    manifest = Manifest(
        project="p", spec="spec.yaml", files={"spec.yaml": describe_content(contents["spec.yaml"], "spec")}
    )
    id_ = write_archive(tmp_path / "bundle.zip", manifest, contents, PROVENANCE)
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom engine.bundles.extraction import extract_archive\n"
        "from engine.errors import BundleError\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"try: extract_archive(Path('bundle.zip'), Path('laid'), '{id_}')\nexcept BundleError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "the bundle cannot be laid down in laid: File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.zip"]


def test_a_killed_extraction_leaves_no_folder_of_the_name_that_was_asked_for(tmp_path: Path) -> None:
    contents = {f"{number:03}.txt": b"x" for number in range(400)}
    files = {name: describe_content(content, "file") for name, content in contents.items()}
    id_ = write_archive(
        tmp_path / "bundle.zip", Manifest(project="p", spec="000.txt", files=files), contents, PROVENANCE
    )
    code = (
        "from pathlib import Path\nfrom engine.bundles.extraction import extract_archive\n"
        f"extract_archive(Path('bundle.zip'), Path('laid'), '{id_}')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) as process:
        while len(list(tmp_path.glob(".laid.*/*"))) < 5:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "laid").exists()
    extract_archive(tmp_path / "bundle.zip", tmp_path / "laid", id_)
    assert len(read_tree(tmp_path / "laid")) == 403


def test_a_file_that_changes_while_it_is_packed_is_reported(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("version: 1")
    files = {"spec.yaml": describe_content(tmp_path / "spec.yaml", "spec")}
    (tmp_path / "spec.yaml").write_text("version: 2")
    manifest = Manifest(project="p", spec="spec.yaml", files=files)
    with pytest.raises(BundleError, match=r"spec\.yaml has changed while it was packed: pack the bundle again"):
        write_archive(tmp_path / "bundle.zip", manifest, {"spec.yaml": tmp_path / "spec.yaml"}, PROVENANCE)
    assert not (tmp_path / "bundle.zip").exists()


def test_what_is_too_large_is_refused_before_it_is_packed(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(3_000_000_000)
    small = describe_content(b"", "spec")
    large = small.model_copy(update={"size": 3_000_000_000})
    manifest = Manifest(project="p", spec="spec.yaml", files={"spec.yaml": small, "large.bin": large})
    contents = {"spec.yaml": b"", "large.bin": tmp_path / "large.bin"}
    with pytest.raises(BundleError, match=r"would have 3 GB, .* the largest file is large\.bin, 3 GB"):
        write_archive(tmp_path / "bundle.zip", manifest, contents, PROVENANCE)
    wide = make_manifest().datasets["orders"].model_copy(update={"columns": tuple(f"c{n}" for n in range(70_000))})
    with pytest.raises(BundleError, match=r"60,000 values: pack less files or columns"):
        write_archive(
            tmp_path / "b.zip", make_manifest().model_copy(update={"datasets": {"w": wide}}), CONTENTS, PROVENANCE
        )


def test_a_large_file_is_read_in_parts(tmp_path: Path) -> None:
    """200 MB are packed, verified and laid down within 60 MB more than the imports take."""
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from engine.bundles.archive_writing import describe_content, write_archive\n"
        "from engine.bundles.archive_checks import verify_archive\n"
        "from engine.bundles.extraction import extract_archive\n"
        "from engine.bundles.manifest import Manifest, Provenance\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nbefore = used()\n"
        "files = {'large.bin': describe_content(Path('large.bin'), 'file')}\n"
        "id_ = write_archive(Path('b.zip'), Manifest(project='p', spec='large.bin', files=files),"
        " {'large.bin': Path('large.bin')}, Provenance())\n"
        "verify_archive(Path('b.zip'))\nextract_archive(Path('b.zip'), Path('laid'), id_)\n"
        "print((used() - before) // 1024)\n"
    )
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(200_000_000)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60


def test_a_file_in_the_archive_is_read_only_up_to_a_limit(tmp_path: Path) -> None:
    make_archive(tmp_path / "bundle.zip")
    with open_archive(tmp_path / "bundle.zip") as opened, pytest.raises(BundleError, match=r"larger than 10 B"):
        opened.read_file("my_code.py", 10)
    assert read_manifest(tmp_path / "bundle.zip") == verify_archive(tmp_path / "bundle.zip").manifest == make_manifest()
