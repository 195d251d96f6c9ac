"""Signatures of bundles: a DSSE envelope for the id of a bundle and its provenance, with Ed25519.

The key id of a signature selects a trusted key, and the key determines the algorithm, never the message. The signed
statement is computed from the bundle itself and not read from the envelope, so a signature of another bundle or another
provenance is not valid. The format is DSSE 1.0 (github.com/secure-systems-lab/dsse).
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.bundles.manifest import Hash, Provenance, dump_document
from engine.digests import canonical_json
from engine.errors import BundleError, UsageError
from engine.spec.resources.deployments import TrustedKeyFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD_TYPE: Literal["application/vnd.engine.bundle+json"] = "application/vnd.engine.bundle+json"
MOST_SIGNATURES = 100
MOST_KEY_BYTES = 65_536


class Signature(BaseModel):
    """The signature of one key: the id of the key, and 64 bytes as base64."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    keyid: Hash
    sig: str = Field(pattern=r"^[A-Za-z0-9+/]{85}[AQgw]==$")


class Envelope(BaseModel):
    """The signatures of a bundle with the signed statement, as a DSSE envelope."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True, serialize_by_alias=True)

    payload: str
    payload_type: Literal["application/vnd.engine.bundle+json"] = Field(alias="payloadType")
    signatures: tuple[Signature, ...] = Field(max_length=MOST_SIGNATURES)

    @classmethod
    def seal(cls, bundle: str, provenance: Provenance, signatures: Sequence[Signature]) -> "Envelope":
        """Return the envelope of a bundle, with one signature per key, sorted by key id."""
        unique = {one.keyid: one for one in signatures}
        payload = base64.b64encode(_build_statement(bundle, provenance)).decode()
        return cls(payload=payload, payload_type=PAYLOAD_TYPE, signatures=tuple(unique[key] for key in sorted(unique)))


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A trusted public key with a name.

    Attributes
    ----------
    public
        The 32 bytes of an Ed25519 key.
    not_after
        The last day on which its signatures are accepted, including older ones; None without an end. The date of a
        signature cannot be used, because a thief of the key could set any date.
    """

    name: str
    public: bytes
    not_after: date | None = None

    @property
    def key_id(self) -> str:
        """The SHA-256 of the key, as 64 hexadecimal digits."""
        return hashlib.sha256(self.public).hexdigest()


def load_trusted_key(name: str, path: Path, not_after: date | None = None) -> TrustedKey:
    """Read a public key in the format of `openssl pkey -pubout`.

    Raises
    ------
    UsageError
        The file cannot be read, or is not a public Ed25519 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read_key_file(path)
    if b"PRIVATE KEY" in content:
        raise UsageError(f"{path} holds a private key; the public one is wanted: openssl pkey -in {path} -pubout")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            f"{path} holds no public key in PEM: openssl pkey -in PRIVATE_KEY -pubout writes one"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} holds a key of another algorithm; make one by: openssl genpkey -algorithm ed25519")
    return TrustedKey(name, key.public_bytes_raw(), not_after)


def load_trusted_keys(declared: Mapping[str, str | TrustedKeyFile], folder: Path) -> list[TrustedKey]:
    """Read the keys of `trusted_keys:`, with paths relative to `folder`; raise UsageError if one cannot be used."""
    files = {name: one if isinstance(one, TrustedKeyFile) else TrustedKeyFile(path=one)
             for name, one in declared.items()}  # fmt: skip
    return [load_trusted_key(name, folder / one.path, one.not_after) for name, one in files.items()]


def sign_bundle(bundle: str, provenance: Provenance, key_file: Path) -> Signature:
    """Sign the id of a bundle and its provenance with a private key from `openssl genpkey -algorithm ed25519`.

    Raises
    ------
    UsageError
        The file cannot be read, or is not a private Ed25519 key.
    """
    key = _load_private_key(key_file)
    public = TrustedKey("", key.public_key().public_bytes_raw())
    signed = key.sign(_encode_before_signing(_build_statement(bundle, provenance)))
    return Signature(keyid=public.key_id, sig=base64.b64encode(signed).decode())


def check_signatures(
    bundle: str, provenance: Provenance, envelope: Envelope, keys: Sequence[TrustedKey], require: int, today: date
) -> tuple[str, ...]:
    """Return the names of the trusted keys that have signed a bundle.

    Raises
    ------
    BundleError
        The envelope belongs to another bundle, the signature of a trusted key is wrong, or fewer than `require` keys
        that are trusted today have signed.
    """
    statement = _build_statement(bundle, provenance)
    if envelope.payload != base64.b64encode(statement).decode():
        raise BundleError("the signatures are those of another bundle, or of another provenance")
    trusted = {key.key_id: key for key in keys}
    signers, reasons = [], []
    for signature in envelope.signatures:
        key = trusted.get(signature.keyid)
        if key is None:
            reasons.append(f"the key {signature.keyid[:12]}… is not trusted")
            continue
        _check_signature(key, signature, _encode_before_signing(statement))
        if key.not_after is not None and today > key.not_after:
            reasons.append(f"the key {key.name} was trusted until {key.not_after}")
        else:
            signers.append(key.name)
    if len(signers) < require:
        found = f"signed by {', '.join(signers)}" if signers else "not signed by any of them"
        names = ", ".join(sorted(key.name for key in trusted.values())) or "none"
        why = "".join(f"; {reason}" for reason in reasons)
        needed = "a signature of a trusted key is" if require == 1 else f"signatures of {require} trusted keys are"
        raise BundleError(f"{needed} needed (trusted: {names}), but it is {found}{why}")
    return tuple(signers)


def _check_signature(key: TrustedKey, signature: Signature, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(base64.b64decode(signature.sig), signed)
    except InvalidSignature:
        message = f"the signature of {key.name} is wrong: it was not made by this key for this bundle"
        raise BundleError(message) from None


def _build_statement(bundle: str, provenance: Provenance) -> bytes:
    """Return the signed statement as canonical JSON."""
    return canonical_json({"manifest": bundle, "provenance": dump_document(provenance)}).encode()


def _encode_before_signing(payload: bytes) -> bytes:
    """Return the bytes to sign: DSSE's pre-authentication encoding of type and payload, each with its length."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _load_private_key(path: Path) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    how = "openssl genpkey -algorithm ed25519 makes one"
    try:
        key = load_pem_private_key(_read_key_file(path), password=None)
    except TypeError:
        raise UsageError(f"{path} is encrypted; write it without a passphrase: openssl pkey -in {path}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} holds no private key in PEM: {how}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} holds a key of another algorithm than Ed25519: {how}")
    return key


def _read_key_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_KEY_BYTES)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}") from None
