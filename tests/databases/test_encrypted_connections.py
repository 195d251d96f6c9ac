"""Connections to PostgreSQL that are encrypted: the certificate of the server is checked as the url says."""

from pathlib import Path

import pytest

from engine.errors import DataError

from .conftest import OpenDatasets
from .encrypted_front import EncryptedFront, write_certificate
from .postgres_server import Database


def test_the_certificate_of_a_server_is_verified(database: Database, open_tables: OpenDatasets, tmp_path: Path) -> None:
    database.execute("CREATE TABLE rows AS SELECT generate_series(1, 1000) AS a")
    right, other = write_certificate(tmp_path, "127.0.0.1"), write_certificate(tmp_path, "db.example.com")
    with EncryptedFront(database.server.port, right) as front:  # which lets in nobody without encryption
        url = database.url().replace(f":{database.server.port}/", f":{front.port}/")
        verified = f"{url}?sslmode=verify-full&sslrootcert={right[0]}"
        assert open_tables("rows", url=verified).open("rows").frame.collect()["a"].sum() == 500_500
        with pytest.raises(DataError, match="the certificate of the server is not one that sslrootcert= trusts"):
            open_tables("rows", url=f"{url}?sslmode=verify-full&sslrootcert={other[0]}").open("rows")
        with pytest.raises(DataError, match=r"the certificates of sslrootcert= cannot be read: .*missing\.pem"):
            open_tables("rows", url=f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/missing.pem").open("rows")
    with EncryptedFront(database.server.port, other) as front:
        url = database.url().replace(f":{database.server.port}/", f":{front.port}/")
        with pytest.raises(DataError, match=r"the certificate of the server is for 'db\.example\.com', and not for"):
            open_tables("rows", url=f"{url}?sslmode=verify-full&sslrootcert={other[0]}").open("rows")
        trusted = f"{url}?sslmode=verify-ca&sslrootcert={other[0]}"
        assert open_tables("rows", url=trusted).open("rows").frame.collect().height == 1000


def test_a_server_without_encryption_is_refused_by_who_wants_it(database: Database, open_tables: OpenDatasets) -> None:
    database.execute("CREATE TABLE rows (a int)")
    with pytest.raises(DataError, match="the server offers no encryption, and the url asks for it"):
        open_tables("rows", url=f"{database.url()}?sslmode=require").open("rows")
