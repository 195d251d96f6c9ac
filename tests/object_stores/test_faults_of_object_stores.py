"""What is said when a store refuses, fails or is cut off, and what is tried again: nothing half, and no secret."""

import http.server
import json
import os
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from engine.connections.object_store import ObjectFolder, ObjectStoreLogin
from engine.connections.object_store_errors import ObjectChangedError, ObjectStoreError
from engine.data import InMemoryFileHashes
from engine.data.files.watched_files import read_unchanged
from engine.errors import DataError

from .conftest import OpenLake
from .faulty_front import Rule, run_front
from .store_server import StoreServer, needs_server, run_server

pytestmark = needs_server

SECRET = "the/secret+key=of-the-store"
LARGE = 20_000_000
HEAD, LIST, GET = ("HEAD", "in/"), ("GET", "list-type"), ("GET", "in/")
ALWAYS = -1


def open_folder(url: str, bucket: str, login: ObjectStoreLogin, timeout: float = 5) -> ObjectFolder:
    return ObjectFolder(
        bucket, endpoint=url, region="us-east-1", login=login, path_style=True, allow_http=True, timeout=timeout
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([(*HEAD, "answer 503 SlowDown", 3), (*GET, "answer 500 InternalError", 3)], ""),
        ([(*HEAD, "refuse", 3), (*GET, "lose", 3)], ""),
        ([(*GET, "cut 3", 2)], ""),
        ([(*GET, "delay 3", 1)], ""),
        ([(*HEAD, "answer 503 SlowDown", ALWAYS)], "the store is overloaded: try again later"),
        ([(*LIST, "answer 503 SlowDown", ALWAYS), (*HEAD, "answer 404 x", 1)], "the store is overloaded"),
        ([(*GET, "answer 500 InternalError", ALWAYS)], "InternalError"),
        ([(*HEAD, "refuse", ALWAYS)], "the connection to http://127.0.0.1:[0-9]+ was lost"),
        ([(*GET, "cut 3", ALWAYS)], "the connection to http://127.0.0.1:[0-9]+ was lost"),
        ([(*GET, "delay 9", ALWAYS)], "does not answer in the given time; raise timeout: of the connection"),
        ([(*HEAD, "answer 400 x", 1), (*GET, "answer 400 ExpiredToken", 1)], "the session_token has expired"),
        ([(*HEAD, "answer 403 x", 1), (*GET, "answer 403 RequestTimeTooSkewed", 1)], "the clock of this machine"),
        ([(*HEAD, "answer 403 x", 1), (*GET, "answer 403 AccessDenied", 1)], "the key needs s3:ListBucket"),
        ([(*HEAD, "answer 301 x", ALWAYS)], "is in another region: set region: of the connection"),
        ([(*HEAD, "answer 404 x", 1), (*LIST, "answer 404 NoSuchBucket", 1)], "there is no bucket 'bucket-"),
    ],
)  # fmt: skip
def test_a_transient_failure_is_tried_again_and_a_lasting_one_is_reported(
    rules: list[Rule], said: str, bucket: StoreServer, open_lake: OpenLake, tmp_path: Path
) -> None:
    content = b"x\n" + b"1\n" * 1000
    bucket.put("in/a.csv", content)
    with run_front(bucket.url, tmp_path, *rules) as front:
        connection = bucket.connection(endpoint=front.url, secret_key=SECRET, timeout=1 if "delay" in str(rules) else 5)
        lake = open_lake(connection, d={"path": "in/a.csv"})
        if said:
            with pytest.raises(DataError, match=said) as told:
                lake.open("d")
            assert f"s3://{bucket.bucket}" in str(told.value)
            assert "Debug source" not in str(told.value)
            assert SECRET not in repr(told.value) + repr(told.value.__cause__) + repr(told.value.__context__)
        else:
            assert lake.open("d").frame.collect().height == 1000
    copies = [one for one in (tmp_path / "objects").rglob("*") if one.name == "a.csv" or one.parent.name == "parts"]
    assert [one.read_bytes() for one in copies] == ([] if said else [content])


@pytest.mark.parametrize("fault", ["hold 5000000", "break 5000000"])
def test_a_large_object_is_the_one_that_was_listed_or_it_is_read_once_more(
    fault: str, bucket: StoreServer, tmp_path: Path
) -> None:
    old, new = os.urandom(LARGE), os.urandom(LARGE)
    bucket.put("in/large", old)
    read: dict[str, Any] = {}
    with run_front(bucket.url, tmp_path, (*GET, fault, 1)) as front:
        source = open_folder(front.url, bucket.bucket, ObjectStoreLogin("id", SECRET), timeout=30)
        found = source.find_object("in/large")
        assert found is not None

        def download() -> None:
            try:
                source.download(found, tmp_path / "copy")
            except ObjectStoreError as error:
                read["error"] = error

        reading = threading.Thread(target=download)
        reading.start()
        front.wait_until_held()
        bucket.put("in/large", new)
        front.release()
        reading.join()
    if fault.startswith("hold"):  # the store has begun to send the old one
        assert read == {}
        assert (tmp_path / "copy").read_bytes() == old
    else:
        assert isinstance(read["error"], ObjectChangedError)


def test_an_object_that_changes_all_the_time_is_reported(
    bucket: StoreServer, open_lake: OpenLake, tmp_path: Path
) -> None:
    bucket.put("in/a.csv", b"x\n1\n")
    with run_front(bucket.url, tmp_path, (*GET, "answer 412 PreconditionFailed", ALWAYS)) as front:
        lake = open_lake(bucket.connection(endpoint=front.url), d={"path": "in/a.csv"})
        with pytest.raises(DataError, match=r"in/a\.csv changed while it was read"):
            read_unchanged(lambda files: lake.with_files(files).open("d"), InMemoryFileHashes(), lambda _: None)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([("PUT", "partNumber", "lose", 2), ("PUT", "partNumber", "answer 503 SlowDown", 2)], ""),
        ([("POST", "uploads", "lose", 1), ("POST", "uploadId", "lose", 1)], ""),
        ([("PUT", "partNumber=2", "refuse", ALWAYS)], "was lost"),
        ([("PUT", "partNumber=2", "answer 403 AccessDenied", ALWAYS)], "s3:PutObject to write"),
        ([("POST", "uploadId", "lose", ALWAYS)], "not known whether the object was written: write it again"),
    ],
)  # fmt: skip
def test_a_large_object_is_written_whole_or_not_at_all(
    rules: list[Rule], said: str, bucket: StoreServer, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(2 * LARGE))
    bucket.put("out/large", b"what was there before")
    with run_front(bucket.url, tmp_path, *rules) as front:
        source = open_folder(front.url, bucket.bucket, ObjectStoreLogin("id", SECRET))
        if said:
            with pytest.raises(ObjectStoreError, match=said) as told:
                source.upload(file, "out/large")
            assert SECRET not in repr(told.value)
        else:
            source.upload(file, "out/large")
    now = bucket.request("GET", "out/large")
    assert now == (file.read_bytes() if not said or "not known" in said else b"what was there before")


def test_a_wrong_key_and_a_missing_right_have_different_messages(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    boto3 = pytest.importorskip("boto3")
    with run_server(INITIAL_NO_AUTH_ACTION_COUNT="1000") as url:
        settings = {"endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "a"}
        iam, store = (boto3.client(one, aws_secret_access_key="b", **settings) for one in ("iam", "s3"))
        store.create_bucket(Bucket="sales")
        store.put_object(Bucket="sales", Key="in/a.csv", Body=b"x\n1\n")
        iam.create_user(UserName="reader")
        allowed = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
        made = iam.create_access_key(UserName="reader")["AccessKey"]
        text = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", text, method="POST")).close()
        own, secret = made["AccessKeyId"], made["SecretAccessKey"]

        def say(login: ObjectStoreLogin, bucket: str = "sales") -> list[str]:
            said = []
            source = open_folder(url, bucket, login)
            for ask in (
                lambda: list(source.list_objects()),
                lambda: source.find_object("in/a.csv"),
                source.list_names,
                lambda: source.read_bytes("in/a.csv", 9),
                lambda: source.create("out/b.csv", b"1"),
                lambda: source.upload(tmp_path / "b.csv", "out/b.csv"),
            ):
                try:
                    ask()
                    said.append("")
                except ObjectStoreError as error:
                    said.append(str(error).partition(": ")[2])
            return said

        (tmp_path / "b.csv").write_bytes(b"1")
        right = ObjectStoreLogin(own, secret)
        refused = (
            "the store refuses this: the key needs s3:ListBucket for the bucket 'sales' and s3:GetObject for its "
            "objects, and s3:PutObject to write"
        )
        assert say(right) == ["", "", "", "", refused, refused]
        assert set(say(ObjectStoreLogin(own, SECRET))) == {"the store does not accept the secret_key"}
        assert set(say(ObjectStoreLogin("AKIAUNKNOWN", SECRET))) == {"the object store does not accept the access_key"}
        assert set(say(ObjectStoreLogin(own, secret, "token"))) == {"the store does not accept the session_token"}
        assert say(right, "absent")[0] == f"there is no bucket 'absent' at {url}"
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err


class WebPage(http.server.BaseHTTPRequestHandler):
    """Answers each address with a page, as the console beside the API of a store does."""

    def do_GET(self) -> None:
        page = b"<html><body>Please log in</body></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page if self.command == "GET" else b"")

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None: ...


def test_a_web_page_is_not_taken_for_a_store_without_objects() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), WebPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = open_folder(f"http://127.0.0.1:{server.server_port}", "data", ObjectStoreLogin("key", SECRET))
        for look in (lambda: list(folder.list_objects()), folder.list_names):
            with pytest.raises(ObjectStoreError, match="answers, but not as an object store does"):
                look()
        server.shutdown()
