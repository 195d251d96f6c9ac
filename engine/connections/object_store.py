"""Object stores with the S3 protocol: the objects of a bucket, or of a prefix in it, by path.

The library obstore sends the requests. Its error messages are explained here. It is imported at first use, so that
`engine validate` and the loop of `engine serve` never load it.
"""

import os
import posixpath
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.connections.database_errors import require_package
from engine.connections.object_addresses import find_address_problem
from engine.connections.object_store_errors import (
    ConnectionLostError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectMissingError,
    ObjectStoreError,
    build_request_error,
    shorten_message,
)

if TYPE_CHECKING:
    from obstore.store import S3Store


EXPLICIT_CREDENTIALS = "ENGINE_EXPLICIT_CREDENTIALS"
"""The environment variable that forbids connections without keys, which would use the keys of the machine."""

MOST_OBJECTS = 1_000_000
"""Most objects below the folder of a path; each of them is kept in memory."""

_READ_BYTES, _WRITTEN_BYTES = 4 * 1024 * 1024, 16 * 1024 * 1024
"""Bytes of the parts of downloads and uploads; an upload has 10,000 parts at most, which limits the object size."""

_MOST_CONDITIONAL_BYTES = 256 * 1024 * 1024
"""Most bytes of a conditional put, which is a single request and held in memory."""

_CREATING_TRIES = 3

_NO_OBJECT = "engine-asks-for-what-no-store-has"
"""The path of an object that never exists."""

_LONGEST_TRANSFER = timedelta(days=1)


class StoredObject(NamedTuple):
    """An object as listed by the store; `path` is below the prefix."""

    path: str
    size: int
    etag: str
    version: str
    modified: datetime

    @property
    def state(self) -> str:
        """A text that identifies the content of the object; only its time if the store has no ETags."""
        return f"{self.etag} {self.version} {'' if self.etag else self.modified.isoformat()}"


@dataclass(frozen=True, slots=True)
class ObjectStoreLogin:
    """Keys from the spec."""

    access_key: str
    secret_key: str
    session_token: str | None = None


class ObjectFolder:
    """The objects below a prefix of a bucket.

    Parameters
    ----------
    endpoint
        The address of the server; None for that of AWS in the region.
    login
        The keys; None for those of the environment or the machine.
    certificate
        Certificates, as PEM, that are trusted besides the usual ones.
    timeout
        Seconds to wait for a connection, and for more data.

    Raises
    ------
    ObjectStoreError
        The extra is not installed, or the settings are invalid.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str,
        login: ObjectStoreLogin | None,
        path_style: bool = False,
        allow_http: bool = False,
        certificate: bytes | None = None,
        timeout: float = 10,
    ) -> None:
        require_package("obstore", "s3", "a connection of kind s3")
        if login is None and os.environ.get(EXPLICIT_CREDENTIALS):
            raise ObjectStoreError(
                "it has no access_key and secret_key, and those of the machine may not be used here: declare both as "
                "secrets of the connection"
            )
        self.bucket, self.prefix, self.endpoint = bucket, prefix.strip("/"), endpoint
        if problem := find_address_problem(bucket, endpoint, path_style=path_style, allow_http=allow_http):
            raise ObjectStoreError(problem)
        self.place = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self._store = self._open(region, login, path_style, allow_http, certificate, timeout)

    def _open(
        self,
        region: str,
        login: ObjectStoreLogin | None,
        path_style: bool,
        allow_http: bool,
        certificate: bytes | None,
        timeout: float,
    ) -> "S3Store":
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        wait = timedelta(seconds=timeout)
        client: Any = {
            "allow_http": allow_http,
            "connect_timeout": wait,
            "read_timeout": wait,
            "timeout": _LONGEST_TRANSFER,
        }
        if certificate is not None:
            client["root_certificate"] = certificate
        settings: dict[str, Any] = {"region": region, "virtual_hosted_style_request": not path_style}
        address = self.endpoint or (f"https://s3.{region}.amazonaws.com" if login is not None else None)
        if address is not None:
            scheme, _, host = address.partition("://")
            settings["endpoint"] = address if path_style else f"{scheme}://{self.bucket}.{host}"
        if login is not None:  # ignore the environment, whose token or settings may belong to others
            settings |= {"skip_signature": False, "credential_provider": _GivenCredentials(login)}
        try:
            return S3Store(
                self.bucket,
                prefix=self.prefix or None,
                client_options=client,
                retry_config={"max_retries": 3, "retry_timeout": 2 * wait},
                **settings,
            )
        except (BaseError, ValueError) as error:
            raise ObjectStoreError(f"{self.place}: {shorten_message(str(error))}") from None

    def list_objects(self, folder: str = "") -> Iterator[StoredObject]:
        """Yield the objects below a folder, page by page, in no order, without folder markers, which end in /.

        Raises
        ------
        ObjectStoreError
            The store cannot be reached, refuses the request, or has more than `MOST_OBJECTS` in the folder.
        """
        with self._explain(folder):
            pages = self._store.list(folder.strip("/") or None, chunk_size=1000)
            found = 0
            for page in pages:
                found += len(page)
                if found > MOST_OBJECTS:
                    raise ObjectStoreError(f"{self.name(folder)} has more than {MOST_OBJECTS:,} objects")
                yield from (_describe_object(one) for one in page if not _is_folder_mark(one))
        if not found:
            self._refuse_other_servers()

    def list_names(self, folder: str = "") -> list[str]:
        """Return the names directly in a folder; raise ObjectStoreError if the request fails."""
        with self._explain(folder):
            found = self._store.list_with_delimiter(folder.strip("/") or None)
        paths = [*(one["path"] for one in found["objects"]), *found["common_prefixes"]]
        if not paths:
            self._refuse_other_servers()
        return [posixpath.basename(one.rstrip("/")) for one in paths]

    def _refuse_other_servers(self) -> None:
        """Raise ObjectStoreError if the server is not an object store.

        obstore takes a web server that answers every address for an empty store (findings/obstore-lists-a-web-page.sh).
        """
        found = None
        with suppress(ObjectStoreError):  # such as a refusal, which only a store sends
            found = self.find_object(_NO_OBJECT)
        if found is not None:
            raise ObjectStoreError(
                f"{self.place}: {self.endpoint or 'AWS'} answers, but not as an object store does: is `endpoint` the "
                "address of its API, and not that of a web page beside it?"
            )

    def find_object(self, path: str) -> StoredObject | None:
        """Return the listing entry of an object, None if there is none; raise ObjectStoreError if the request fails."""
        try:
            with self._explain(path):
                return _describe_object(self._ask_for(path))
        except ObjectMissingError:
            return None

    def _ask_for(self, path: str) -> Any:
        try:
            return self._store.head(path)
        except Exception as error:
            if re.search("40[0-9] (?!Not Found)", str(error)):  # a refused HEAD has no reason, a refused GET has
                self._store.get_range(path, start=0, length=1)
            raise

    def download(self, one: StoredObject, target: Path) -> None:
        """Download an object into a new file, in parts.

        Raises
        ------
        ObjectChangedError
            It has been replaced or removed.
        ObjectStoreError
            It cannot be read completely.
        OSError
            The file cannot be written.
        """
        try:
            with target.open("wb") as file:
                for piece in self._read_pieces(one):
                    file.write(piece)
                received = file.tell()
        except ObjectMissingError:
            raise ObjectChangedError(f"{self.name(one.path)} was removed while it was read") from None
        if received != one.size:
            raise ObjectChangedError(f"{self.name(one.path)} has {received:,} bytes instead of {one.size:,}")

    def _read_pieces(self, one: StoredObject) -> Iterator[Any]:
        with self._explain(one.path):
            options = {"if_match": one.etag} if one.etag else {}
            result = self._store.get(one.path, options=options)  # type: ignore[arg-type]  # a TypedDict
            yield from result.stream(_READ_BYTES)

    def read_bytes(self, path: str, most: int) -> bytes | None:
        """Return the content of a small object, truncated to a number of bytes; None if there is no object."""
        found = self.find_object(path)
        if found is None or not found.size:
            return None if found is None else b""
        try:
            with self._explain(path):
                return bytes(self._store.get_range(path, start=0, length=min(most, found.size)))
        except ObjectMissingError:
            return None

    def upload(self, file: Path, path: str, *, replaced: StoredObject | None = None) -> StoredObject:
        """Upload a file as an object, which appears once the upload is complete.

        Parameters
        ----------
        replaced
            The only object that may be replaced; a file too large for one request replaces any.

        Raises
        ------
        ObjectChangedError
            The current object is not `replaced`.
        ObjectStoreError
            The store refuses the upload, or cannot be reached.
        """
        with self._explain(path):
            if replaced is not None and replaced.etag and file.stat().st_size <= _MOST_CONDITIONAL_BYTES:
                put = self._store.put(path, file, mode={"e_tag": replaced.etag}, use_multipart=False)
            else:
                put = self._store.put(path, file, chunk_size=_WRITTEN_BYTES, max_concurrency=4)
        modified = datetime.now(UTC)
        return StoredObject(path, file.stat().st_size, put["e_tag"] or "", "", modified)

    def create(self, path: str, content: bytes) -> bool:
        """Create a small object unless it exists; return whether this call created it.

        The call retries after a lost connection and may then find the object that it created before. So False means
        that the object exists, not that somebody else created it.
        """
        tries = 0
        while True:
            tries += 1
            try:
                with self._explain(path):
                    self._store.put(path, content, mode="create", use_multipart=False)
            except ObjectExistsError:
                return False
            except ConnectionLostError:  # obstore does not retry conditional requests
                if tries == _CREATING_TRIES:
                    raise
                time.sleep(0.1)
            else:
                return True

    def name(self, path: str) -> str:
        """Return the name of an object or a folder for messages."""
        return posixpath.join(self.place, path) if path else self.place

    @contextmanager
    def _explain(self, path: str) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except AlreadyExistsError:
            raise ObjectExistsError(self.name(path)) from None
        except PreconditionError:
            raise ObjectChangedError(f"{self.name(path)} changed while it was read") from None
        except BaseException as error:
            of_obstore = isinstance(error, BaseError | OSError | ValueError) and getattr(error, "errno", None) is None
            if not of_obstore and type(error).__name__ != "PanicException":  # a panic of obstore, which is no Exception
                raise
            text = str(error)
            if "<Code>PreconditionFailed" in text:  # of a request that resumes an interrupted download
                raise ObjectChangedError(f"{self.name(path)} changed while it was read") from None
            if isinstance(error, FileNotFoundError) and not re.search("NoSuchBucket|NoSuchUpload", text):
                raise ObjectMissingError(f"{self.name(path)}: there is no such object") from None
            raise build_request_error(text, self.name(path), self.endpoint or "AWS", self.bucket) from None


class _GivenCredentials:
    """Passes the keys of the spec to obstore, which would otherwise mix them with those of the environment."""

    def __init__(self, login: ObjectStoreLogin) -> None:
        self._login = login

    def __call__(self) -> Any:
        return {
            "access_key_id": self._login.access_key,
            "secret_access_key": self._login.secret_key,
            "token": self._login.session_token,
            "expires_at": None,
        }


def _describe_object(found: Any) -> StoredObject:
    return StoredObject(
        found["path"], found["size"], found["e_tag"] or "", found["version"] or "", found["last_modified"]
    )


def _is_folder_mark(found: Any) -> bool:
    return bool(found["path"].endswith("/"))
