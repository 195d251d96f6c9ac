"""Archives that somebody has tampered with, or made to harm, are refused in words, and nothing is written.

Each fault of `FAULTS` is made in an archive that is right, alone and with others; the manifest is signed by a trusted
key whatever it says.
"""

import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bundles.archive_checks import open_archive, read_manifest, verify_archive
from engine.bundles.extraction import extract_archive
from engine.bundles.registry import FolderRegistry
from engine.bundles.signatures import TrustedKey
from engine.errors import BundleError

from .made import CONTENTS, FAULTS, Hostile, encode_canonically, make_archive, make_keys


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrustedKey, Path]:
    """Give a trusted key and the file of its private half."""
    folder = tmp_path_factory.mktemp("keys")
    return make_keys(folder, "ada"), folder / "ada.private.pem"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which a refused archive leaves no trace."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "before.txt").write_text("was here before")
    return folder


def refuse(content: bytes, id_: str, place: Path, key: TrustedKey) -> str:
    """Check that an archive is refused by all that reads one, that nothing is left of it, and return why."""
    archive = place / "hostile.zip"
    archive.write_bytes(content)
    with pytest.raises(BundleError) as verified:
        verify_archive(archive, [key], require=1)
    try:
        extract_archive(archive, place / "laid" / "down", id_)
    except BundleError:
        pass
    else:
        raise AssertionError("what cannot be verified was laid down")
    with pytest.raises(BundleError):
        FolderRegistry(place / "registry").put(archive)
    left = [path for path in place.rglob("*") if not path.is_dir()]
    assert sorted(path.name for path in left) == ["before.txt", "hostile.zip"]
    assert not list((place / "laid").glob("*") if (place / "laid").exists() else [])
    message = str(verified.value)
    assert message.isprintable(), "a text from the archive could control a terminal"
    return message


def build(faults: tuple[str, ...], private: Path) -> tuple[bytes, str]:
    hostile = Hostile(private)
    for fault in faults:
        FAULTS[fault](hostile)
    return hostile.build()


def test_the_archive_without_a_fault_is_the_one_that_the_engine_writes(
    trusted: tuple[TrustedKey, Path], tmp_path: Path
) -> None:
    key, private = trusted
    make_archive(tmp_path / "bundle.zip", private=private)
    content, id_ = Hostile(private).build()
    assert (tmp_path / "bundle.zip").read_bytes() == content
    assert verify_archive(tmp_path / "bundle.zip", [key], require=1).manifest.id == id_


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_refused(fault: str, trusted: tuple[TrustedKey, Path], place: Path) -> None:
    key, private = trusted
    if fault == "a signature of another bundle":
        content, _ = build((fault,), private)
        (place / "hostile.zip").write_bytes(content)
        with pytest.raises(BundleError, match="another bundle"):
            verify_archive(place / "hostile.zip", [key], require=1)
    else:
        refuse(*build((fault,), private), place, key)


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([one for one in FAULTS if "signature" not in one]), min_size=2, max_size=4, unique=True)
)
def test_several_faults_together_are_refused(trusted: tuple[TrustedKey, Path], place: Path, faults: list[str]) -> None:
    key, private = trusted
    try:
        content, id_ = build(tuple(faults), private)
    except (IndexError, KeyError):
        return  # one fault has taken away what the other changes
    refuse(content, id_, place, key)


def test_what_is_said_of_each_fault(trusted: tuple[TrustedKey, Path], tmp_path: Path) -> None:
    """`ENGINE_WRITE_GOLDEN=1` writes the file: read it before it is committed, as somebody whose bundle is refused."""
    said = []
    for fault in FAULTS:
        (tmp_path / "bundle").write_bytes(build((fault,), trusted[1])[0])
        with pytest.raises(BundleError) as refused:
            verify_archive(tmp_path / "bundle", [trusted[0]], require=1)
        said.append(f"{fault}\n  {str(refused.value).replace(str(tmp_path), '')}\n")
    golden = Path(__file__).with_name("refusals.out")
    if os.environ.get("ENGINE_WRITE_GOLDEN"):
        golden.write_text("".join(said), encoding="utf-8")
    assert "".join(said) == golden.read_text(encoding="utf-8")


def test_a_flipped_bit_is_found(trusted: tuple[TrustedKey, Path], tmp_path: Path) -> None:
    """A bit of every third byte, drawn by a seed; `tests/campaigns/hostile_bundles.py` flips all."""
    key, private = trusted
    archive = tmp_path / "bundle.zip"
    make_archive(archive, private=private)
    content, drawn = archive.read_bytes(), random.Random(1)
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << drawn.randrange(8)
        archive.write_bytes(flipped)
        with pytest.raises(BundleError):
            verify_archive(archive, [key], require=1)


def test_an_archive_that_was_cut_off_anywhere_is_refused(trusted: tuple[TrustedKey, Path], tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    make_archive(archive)
    content = archive.read_bytes()
    for length in range(0, len(content), 7):
        archive.write_bytes(content[:length])
        with pytest.raises(BundleError):
            read_manifest(archive)


def test_an_archive_that_is_swapped_while_it_is_open_is_not_read_anew(tmp_path: Path) -> None:
    make_archive(tmp_path / "bundle.zip", notes="first")
    make_archive(tmp_path / "other.zip", notes="other")
    with open_archive(tmp_path / "bundle.zip") as opened:
        (tmp_path / "other.zip").replace(tmp_path / "bundle.zip")
        assert opened.read_file("spec.yaml", 1000) == CONTENTS["spec.yaml"]
        assert opened.manifest.release_notes == "first"


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "nothing", "a zip of zipfile", "a text", "an empty file"])
def test_a_file_that_is_not_a_bundle_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    match kind:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "a zip of zipfile":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("manifest.json", "{}" * 1000)
        case "a text":
            path.write_text("version: 1\nproject: p\n" * 10)
        case "an empty file":
            path.touch()
    with pytest.raises(BundleError, match=r"bundle\.zip"):
        verify_archive(path)


HUGE = """
import resource, sys, time
from pathlib import Path
from engine.bundles.archive_checks import verify_archive
from engine.bundles.signatures import load_trusted_key
from engine.errors import BundleError
key = load_trusted_key("ada", Path(sys.argv[1]))
for path in map(Path, sys.argv[2:]):
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        verify_archive(path, [key], 1)
    except BundleError as error:
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(more // 1024, round(time.process_time() - start, 2), error)
"""


@pytest.mark.slow
def test_memory_and_time_are_bounded_whatever_an_archive_says(trusted: tuple[TrustedKey, Path], tmp_path: Path) -> None:
    private = trusted[1]
    names = ["x" * 250 + f"/{number:05}" for number in range(10_000)]
    manifests = {
        "lists": b"[" + (b"[" * 50 + b"]" * 50 + b",") * 1100 + b"0]",
        "keys": b'{"' + b'":0,"'.join(b"%x" % number for number in range(59_000)) + b'":0}',
        "texts": encode_canonically({"files": {str(number): {"size": 1} for number in range(59_000)}}),
        "larger": b"[" * (4 << 20),
        "folders": encode_canonically(
            {"spec": "s", "project": "p", "files": {f"{'/'.join('y' * 31)}/{number}": {"size": 0, "sha256": "0" * 64,
             "role": "file"} for number in range(10_000)}}
        ),
    }  # fmt: skip
    for name, manifest in manifests.items():
        hostile = Hostile(private, encode=lambda value, manifest=manifest: manifest)
        (tmp_path / name).write_bytes(hostile.build()[0])
    many = Hostile(private)
    many.files |= dict.fromkeys(names, b"")
    (tmp_path / "files").write_bytes(many.build()[0])
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**31 - 1)
    with (tmp_path / "sparse and larger").open("wb") as file:
        file.truncate(2**33)
    (tmp_path / "many values").write_bytes(
        Hostile(private, encode=lambda value: b"[" + b"0," * 70_000 + b"0]").build()[0]
    )
    files = [tmp_path / name for name in (*manifests, "many values", "files", "sparse", "sparse and larger")]
    public = private.with_name("ada.pem")
    done = subprocess.run(
        [sys.executable, "-c", HUGE, public, *files], capture_output=True, text=True, check=True, timeout=60
    )
    assert len(done.stdout.splitlines()) == len(files)
    for line in done.stdout.splitlines():
        megabytes, seconds, _ = line.split(maxsplit=2)
        assert int(megabytes) < 100, line
        assert float(seconds) < 2, line
        assert "refused" in line
