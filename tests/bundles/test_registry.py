"""The registry in a folder: a name is given once, whoever asks at the same time, and what is damaged is never used."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from engine.bundles.archive_checks import verify_archive
from engine.bundles.archive_writing import write_archive
from engine.bundles.registry import FolderRegistry, RegisteredBundle
from engine.bundles.signatures import sign_bundle
from engine.errors import BundleError, UsageError

from .made import CONTENTS, PROVENANCE, make_archive, make_keys, make_manifest

RACERS = Path(__file__).with_name("racers.py")


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")


def name_registry(folder: Path) -> Path:
    """Write a spec with a registry in a folder, and return its path."""
    spec = folder.parent / "spec.yaml"
    spec.write_text(f'version: 1\nproject: p\nregistry: {{path: "{folder}"}}\n')
    return spec


def test_a_bundle_is_found_by_its_name_its_id_and_the_first_digits_of_it(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    id_ = make_archive(tmp_path / "bundle.zip")
    assert registry.put(tmp_path / "bundle.zip") == id_
    assert registry.put(tmp_path / "bundle.zip") == id_
    registry.assign("card_fraud", "v1", id_)
    registry.assign("card_fraud", "v1", id_)
    registry.assign("card_fraud", "Überprüft: ja", id_)
    for known in ("v1", "Überprüft: ja", id_, id_[:8]):
        assert registry.resolve("card_fraud", known) == id_
    assert registry.path_of(id_).read_bytes() == (tmp_path / "bundle.zip").read_bytes()
    assert registry.list_bundles("card_fraud") == [
        RegisteredBundle("card_fraud", "v1", id_),
        RegisteredBundle("card_fraud", "Überprüft: ja", id_),
    ]
    assert registry.list_bundles("other") == []
    for unknown in ("v2", id_[:7], "0" * 64):
        with pytest.raises(UsageError, match=f'there is no bundle "{unknown}" of card_fraud in .* \\(known: v1, Über'):
            registry.resolve("card_fraud", unknown)


def test_a_name_is_never_given_to_another_bundle(registry: FolderRegistry, tmp_path: Path) -> None:
    first, second = (make_archive(tmp_path / f"{notes}.zip", notes=notes) for notes in ("a", "b"))
    registry.put(tmp_path / "a.zip")
    with pytest.raises(BundleError, match="is not in"):
        registry.assign("p", "v1", second)
    registry.assign("p", "v1", first)
    registry.put(tmp_path / "b.zip")
    with pytest.raises(
        BundleError, match=f'the name "v1" belongs to the bundle {first[:12]}… and is never given again'
    ):
        registry.assign("p", "v1", second)
    registry.assign("q", "v1", second)
    assert registry.resolve("p", "v1") == first


@pytest.mark.slow
def test_one_of_sixteen_that_give_a_name_at_once_wins(tmp_path: Path) -> None:
    archives = [tmp_path / f"{number}.zip" for number in range(16)]
    ids = {make_archive(archive, notes=archive.name) for archive in archives}
    for turn in range(2):
        folder = tmp_path / f"registry {turn}"
        done = subprocess.run(
            [sys.executable, RACERS, name_registry(folder), *archives],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        told = done.stdout.splitlines()
        (won,) = [line.removeprefix("won ") for line in told if line.startswith("won ")]
        assert sum(line.startswith("lost the name") for line in told) == 15
        registry = FolderRegistry(folder)
        assert registry.list_bundles("p") == [RegisteredBundle("p", "v1", won)]
        assert {path.stem for path in (folder / "blobs").iterdir()} == ids
        assert list((folder / "staging").iterdir()) == []


@pytest.mark.slow
def test_sixteen_that_put_the_same_bundle_at_once_all_succeed(tmp_path: Path) -> None:
    id_ = make_archive(tmp_path / "bundle.zip")
    done = subprocess.run(
        [sys.executable, RACERS, name_registry(tmp_path / "registry"), *[tmp_path / "bundle.zip"] * 16],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines() == [f"won {id_}"] * 16


def test_an_archive_that_was_swapped_or_damaged_is_not_used(registry: FolderRegistry, tmp_path: Path) -> None:
    first, second = (make_archive(tmp_path / f"{notes}.zip", notes=notes) for notes in ("a", "b"))
    registry.put(tmp_path / "a.zip")
    registry.assign("p", "v1", first)
    blob = registry.path_of(first)
    blob.write_bytes((tmp_path / "b.zip").read_bytes())
    with pytest.raises(BundleError, match=f"is refused: it holds another bundle, {second[:12]}…"):
        registry.path_of(registry.resolve("p", "v1"))
    blob.write_bytes((tmp_path / "a.zip").read_bytes()[:-1])
    with pytest.raises(BundleError, match="is refused"):
        registry.path_of(first)
    assert registry.put(tmp_path / "a.zip") == first, "putting the bundle again repairs it"
    assert verify_archive(registry.path_of(first)).manifest.id == first
    blob.unlink()
    with pytest.raises(BundleError, match="is not in"):
        registry.path_of(first)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "null", '{"project": "p", "name": "v1"}', '{"project": "p", "name": "v1", "id": "../x"}',
     '{"project": "p", "name": "v1", "id": 1}', "[" * 100_000],
)  # fmt: skip
def test_a_damaged_name_is_reported(content: str, registry: FolderRegistry, tmp_path: Path) -> None:
    id_ = make_archive(tmp_path / "bundle.zip")
    registry.put(tmp_path / "bundle.zip")
    registry.assign("p", "v1", id_)
    (registry.folder / "names" / "p" / "v1.json").write_text(content)
    for ask in (lambda: registry.resolve("p", "v1"), lambda: registry.list_bundles("p")):
        with pytest.raises(BundleError, match="is damaged: it must give a name of a project the id of a bundle"):
            ask()


def test_a_name_whose_file_was_put_in_the_place_of_another_is_reported(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    id_ = make_archive(tmp_path / "bundle.zip")
    registry.put(tmp_path / "bundle.zip")
    registry.assign("p", "v1", id_)
    (registry.folder / "names" / "p" / "v1.json").rename(registry.folder / "names" / "p" / "v2.json")
    with pytest.raises(BundleError, match=r"v2\.json is damaged"):
        registry.resolve("p", "v2")


def test_signatures_are_added_and_never_lost(registry: FolderRegistry, tmp_path: Path) -> None:
    ada, bob = make_keys(tmp_path, "ada"), make_keys(tmp_path, "bob")
    make_archive(tmp_path / "plain.zip")
    id_ = make_archive(tmp_path / "ada.zip", private=tmp_path / "ada.private.pem")
    make_archive(tmp_path / "bob.zip", private=tmp_path / "bob.private.pem")
    for archive in ("plain.zip", "ada.zip", "plain.zip"):
        registry.put(tmp_path / archive)
    assert verify_archive(registry.path_of(id_), [ada, bob], 1).signers == ("ada",)
    with pytest.raises(BundleError, match="has the same bundle with signatures of other keys, which would be lost"):
        registry.put(tmp_path / "bob.zip")
    assert verify_archive(registry.path_of(id_), [ada, bob], 1).signers == ("ada",)


def test_a_registry_that_cannot_be_written_is_reported(
    open_folder: Path, as_nobody: Callable[[], AbstractContextManager[None]]
) -> None:
    make_archive(open_folder / "bundle.zip")
    (open_folder / "bundle.zip").chmod(0o644)
    (open_folder / "registry").mkdir(mode=0o755)
    registry = FolderRegistry(open_folder / "registry")
    with as_nobody(), pytest.raises(BundleError, match=r"the registry .* cannot be written, .*: Permission denied"):
        registry.put(open_folder / "bundle.zip")
    assert registry.list_bundles("p") == []


def test_a_registry_that_cannot_be_read_is_not_taken_for_an_empty_one(
    open_folder: Path, as_nobody: Callable[[], AbstractContextManager[None]]
) -> None:
    id_ = make_archive(open_folder / "bundle.zip")
    registry = FolderRegistry(open_folder / "registry")
    registry.put(open_folder / "bundle.zip")
    registry.assign("p", "v1", id_)
    for folder in ("names/p", "blobs"):
        (registry.folder / folder).chmod(0o700)
    with as_nobody():
        for ask in (
            lambda: registry.list_bundles("p"),
            lambda: registry.resolve("p", "v1"),
            lambda: registry.path_of(id_),
        ):
            with pytest.raises(BundleError, match=r"cannot be read: Permission denied"):
                ask()


@pytest.mark.slow
def test_no_signature_of_several_at_once_is_lost(tmp_path: Path) -> None:
    names = ("ada", "bob", "eve", "dan")
    keys = [make_keys(tmp_path, name) for name in names]
    make_archive(tmp_path / "bundle.zip")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from engine.bundles.archive_checks import add_signature, verify_archive\n"
        "from engine.bundles.signatures import sign_bundle\nfound = verify_archive(Path('bundle.zip'))\n"
        "signature = sign_bundle(found.manifest.id, found.provenance, Path(sys.argv[1]))\n"
        "print(flush=True)\ninput()\nadd_signature(Path('bundle.zip'), signature)\n"
    )
    signers = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"{name}.private.pem"], cwd=tmp_path, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    for signer in signers:
        assert signer.stdout is not None
        signer.stdout.readline()
    for signer in signers:
        assert signer.stdin is not None
        signer.stdin.write("\n")
        signer.stdin.flush()
    for signer in signers:
        signer.communicate()
        assert signer.returncode == 0
    assert set(verify_archive(tmp_path / "bundle.zip", keys, require=4).signers) == set(names)


def test_the_same_bundle_that_is_made_and_signed_again_later_is_taken(registry: FolderRegistry, tmp_path: Path) -> None:
    key, manifest = make_keys(tmp_path, "ada"), make_manifest()
    for created in ("2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"):
        provenance = PROVENANCE.model_copy(update={"created": created})
        signature = sign_bundle(manifest.id, provenance, tmp_path / "ada.private.pem")
        write_archive(tmp_path / "bundle.zip", manifest, CONTENTS, provenance, [signature])
        registry.put(tmp_path / "bundle.zip")
    assert verify_archive(registry.path_of(manifest.id), [key], require=1).provenance.created == created
