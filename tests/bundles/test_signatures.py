"""Who has signed a bundle: keys as openssl makes them; all but the right signature of a trusted key is refused."""

import base64
import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from engine.bundles.archive_checks import add_signature, open_archive, verify_archive
from engine.bundles.archive_writing import write_archive
from engine.bundles.signatures import Signature, TrustedKey, load_trusted_key, load_trusted_keys, sign_bundle
from engine.errors import BundleError, UsageError
from engine.spec.resources.deployments import TrustedKeyFile

from .made import CONTENTS, PROVENANCE, make_archive, make_keys, make_manifest


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrustedKey]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_keys(folder, name) for name in ("ada", "bob", "eve")}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, TrustedKey]) -> Path:
    return next(tmp_path_factory.getbasetemp().glob("keys*/ada.private.pem")).parent


def sign(archive: Path, *files: Path) -> None:
    for file in files:
        found = verify_archive(archive)
        add_signature(archive, sign_bundle(found.manifest.id, found.provenance, file))


def test_as_many_trusted_keys_must_have_signed_as_are_required(
    keys: dict[str, TrustedKey], private: Path, tmp_path: Path
) -> None:
    archive, trusted = tmp_path / "bundle.zip", [keys["ada"], keys["bob"]]
    make_archive(archive)
    with pytest.raises(
        BundleError, match=r"a signature of a trusted key is needed \(trusted: ada, bob\), but it is not"
    ):
        verify_archive(archive, trusted, require=1)
    sign(archive, private / "ada.private.pem")
    assert verify_archive(archive, trusted, require=1).signers == ("ada",)
    with pytest.raises(BundleError, match=r"signatures of 2 trusted keys are needed .* but it is signed by ada$"):
        verify_archive(archive, trusted, require=2)
    sign(archive, private / "ada.private.pem", private / "eve.private.pem")
    unknown = rf"signed by ada; the key {keys['eve'].key_id[:12]}… is not trusted$"
    with pytest.raises(BundleError, match=unknown):
        verify_archive(archive, trusted, require=2)
    sign(archive, private / "bob.private.pem")
    assert set(verify_archive(archive, trusted, require=2).signers) == {"ada", "bob"}


def test_one_key_under_two_names_counts_once(keys: dict[str, TrustedKey], private: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    make_archive(archive, private=private / "ada.private.pem")
    twice = [keys["ada"], TrustedKey("ada again", keys["ada"].public)]
    with pytest.raises(BundleError, match="signatures of 2 trusted keys are needed"):
        verify_archive(archive, twice, require=2)


def test_a_key_counts_until_its_last_day(keys: dict[str, TrustedKey], private: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    make_archive(archive, private=private / "ada.private.pem")
    (tmp_path / "ada.pem").write_bytes((private / "ada.pem").read_bytes())
    declared: dict[str, str | TrustedKeyFile] = {
        "ada": TrustedKeyFile(path="ada.pem", not_after=date(2026, 12, 31)),
        "bob": str(private / "bob.pem"),
    }
    trusted = load_trusted_keys(declared, tmp_path)
    assert verify_archive(archive, trusted, 1, date(2026, 12, 31)).signers == ("ada",)
    with pytest.raises(BundleError, match="the key ada was trusted until 2026-12-31"):
        verify_archive(archive, trusted, 1, date(2027, 1, 1))
    assert verify_archive(archive, trusted, 0, date(2027, 1, 1)).signers == ()


def test_a_wrong_signature_of_a_trusted_key_is_refused_also_where_none_is_required(
    keys: dict[str, TrustedKey], private: Path, tmp_path: Path
) -> None:
    """The signature of eve under the id of ada's key, and that of ada for another bundle."""
    manifest = make_manifest()
    of_eve = sign_bundle(manifest.id, PROVENANCE, private / "eve.private.pem")
    of_another = sign_bundle(make_manifest(notes="another").id, PROVENANCE, private / "ada.private.pem")
    later = PROVENANCE.model_copy(update={"created": "2027-01-01T00:00:00Z"})
    of_another_time = sign_bundle(manifest.id, later, private / "ada.private.pem")
    for wrong in (of_eve, of_another, of_another_time):
        signature = Signature(keyid=keys["ada"].key_id, sig=wrong.sig)
        write_archive(tmp_path / "bundle.zip", manifest, CONTENTS, PROVENANCE, [signature])
        with pytest.raises(BundleError, match="the signature of ada is wrong"):
            verify_archive(tmp_path / "bundle.zip", [keys["ada"]], require=0)


def test_the_envelope_is_that_of_dsse(keys: dict[str, TrustedKey], private: Path, tmp_path: Path) -> None:
    """Checked as its specification says, without the code of the engine."""
    id_ = make_archive(tmp_path / "bundle.zip", private=private / "ada.private.pem")
    with open_archive(tmp_path / "bundle.zip") as opened:
        envelope = json.loads(opened.own_files["signatures.json"])
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    assert json.loads(payload) == {"manifest": id_, "provenance": PROVENANCE.model_dump(exclude_defaults=True)}
    encoded = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    (signature,) = envelope["signatures"]
    Ed25519PublicKey.from_public_bytes(keys["ada"].public).verify(base64.b64decode(signature["sig"]), encoded)


def test_a_signature_changes_neither_the_id_nor_what_is_in_it(private: Path, tmp_path: Path) -> None:
    signed, other = tmp_path / "signed.zip", tmp_path / "other.zip"
    id_ = make_archive(signed)
    sign(signed, private / "bob.private.pem", private / "ada.private.pem")
    assert verify_archive(signed).manifest.id == id_
    make_archive(other)
    sign(other, private / "ada.private.pem", private / "bob.private.pem", private / "ada.private.pem")
    assert signed.read_bytes() == other.read_bytes()


def test_a_file_that_holds_no_such_key_is_reported(private: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    rsa, locked = tmp_path / "rsa.pem", tmp_path / "locked.pem"
    run("genrsa", "-out", rsa, "2048")
    run("rsa", "-in", rsa, "-pubout", "-out", tmp_path / "rsa.pub")
    key = private / "ada.private.pem"
    run("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked)
    (tmp_path / "text").write_text("ssh-ed25519 AAAA ada")
    for file, said in {
        private / "ada.private.pem": "holds a private key; the public one is wanted: openssl pkey",
        tmp_path / "rsa.pub": "holds a key of another algorithm",
        tmp_path / "text": "holds no public key in PEM",
        tmp_path / "missing": "cannot be read: No such file or directory",
        tmp_path: "cannot be read: Is a directory",
    }.items():
        with pytest.raises(UsageError, match=said):
            load_trusted_key("x", file)
    for file, said in {
        private / "ada.pem": "holds no private key in PEM",
        rsa: "holds a key of another algorithm than Ed25519",
        locked: "is encrypted; write it without a passphrase",
        tmp_path / "text": "holds no private key in PEM",
    }.items():
        with pytest.raises(UsageError, match=said):
            sign_bundle("0" * 64, PROVENANCE, file)
