"""The requests about bundles. An upload is a stream, and is kept only after it was checked completely."""

import asyncio
import errno
import time
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.formatting.numbers import format_bytes
from engine.server.answers import AnswerError
from engine.server.bodies import CLOSE
from engine.server.callers import get_caller
from engine.server.connections import extend_exchange
from engine.server.node_api.model_answers import answer_model
from engine.server.request_threads import RequestThreads
from engine.service.deployments.node.folder import NodeFolder, NoRoomError, Upload
from engine.service.deployments.node.requests import BundleAnswer, BundleList, DeletedAnswer
from engine.store.node import ReceivedBundle

PART_SECONDS = 20.0
"""Longest pause in an upload."""

LEAST_RATE = 128 * 1024
"""Least average rate of an upload in bytes per second, after FIRST_SECONDS."""

FIRST_SECONDS = 30.0
CHECK_SECONDS = 600.0
"""Time limit for the check of an archive."""

WRITTEN_BYTES = 1 << 20
"""Size of the parts in which an upload is written to disk."""

UPLOADS_AT_ONCE = 4


@dataclass(slots=True)
class BundleRequests:
    """Answers the requests about bundles."""

    folder: NodeFolder
    _uploads: int = 0

    def list_bundles(self, _request: Request) -> Response:
        """Return the bundles."""
        return answer_model(BundleList(bundles=self.folder.node.list_bundles()))

    def show_bundle(self, request: Request) -> Response:
        """Return one bundle."""
        return answer_model(BundleAnswer(bundle=self._find(request.path_params["id"])))

    def delete_bundle(self, request: Request) -> Response:
        """Remove a bundle that is not in use."""
        id_ = request.path_params["id"]
        self._find(id_)
        self.folder.delete_bundle(id_)
        return answer_model(DeletedAnswer(deleted=id_))

    def _find(self, id_: str) -> ReceivedBundle:
        found = self.folder.find_bundle(id_)
        if found is None:
            raise AnswerError(404, "there is no bundle of this id", f"PUT /v1/bundles/{id_} brings it")
        return found

    async def put_bundle(self, request: Request, threads: RequestThreads) -> Response:
        """Receive a bundle: 201 if it is new; 200 if it was there already, with new signatures added."""
        id_ = request.path_params["id"]
        declared = _read_length(request, self.folder.most_bytes)
        if self._uploads >= UPLOADS_AT_ONCE:
            headers = {**CLOSE, "retry-after": "10"}
            raise AnswerError(503, f"{self._uploads} bundles are already being uploaded", "wait", headers)
        self._uploads += 1
        try:
            return await self._receive(request, id_, declared, threads)
        except NoRoomError as problem:
            raise AnswerError(507, str(problem), "remove what is not needed, then send it again", CLOSE) from None
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                help_ = "remove what is not needed, then send it again"
                raise AnswerError(507, "the disk of the node is full", help_, CLOSE) from None
            raise AnswerError(503, f"the bundle cannot be written: {problem.strerror}", headers=CLOSE) from None
        finally:
            self._uploads -= 1

    async def _receive(self, request: Request, id_: str, declared: int | None, threads: RequestThreads) -> Response:
        upload = await threads.run(self.folder.open_upload, id_, declared or 0)
        try:
            received = await self._collect(request, upload, threads)
            if declared is not None and received != declared:
                raise AnswerError(400, f"{received} bytes were received, but {declared} were declared", headers=CLOSE)
            extend_exchange(request, CHECK_SECONDS)
            bundle, new = await threads.run(self.folder.keep_upload, upload, get_caller(request).name)
            return answer_model(BundleAnswer(bundle=bundle), 201 if new else 200)
        finally:
            await asyncio.shield(threads.run(upload.remove))

    async def _collect(self, request: Request, upload: Upload, threads: RequestThreads) -> int:
        """Write the body of a request into an upload; return its size."""
        began, received, part = time.monotonic(), 0, bytearray()
        stream = aiter(request.stream())
        most = self.folder.most_bytes
        while True:
            extend_exchange(request, PART_SECONDS + FIRST_SECONDS)
            try:
                async with asyncio.timeout(PART_SECONDS):
                    came = await anext(stream, None)
            except TimeoutError:
                raise AnswerError(408, f"nothing was received for {PART_SECONDS:g} s", "send it again", CLOSE) from None
            except ClientDisconnect:
                raise AnswerError(400, "the connection was closed before the end of the bundle") from None
            if came is not None:
                received += len(came)
                if received > most:
                    raise _refuse_size(most)
                if time.monotonic() - began > FIRST_SECONDS + received / LEAST_RATE:
                    least = f"at least {format_bytes(LEAST_RATE)} a second are expected"
                    raise AnswerError(408, "the bundle is received too slowly", least, CLOSE)
                part += came
            if part and (came is None or len(part) >= WRITTEN_BYTES):
                await threads.run(upload.write, bytes(part))
            if came is None:
                return received
            if len(part) >= WRITTEN_BYTES:
                part.clear()


def _read_length(request: Request, most: int) -> int | None:
    """Return the declared size of a bundle; None if it is not declared."""
    declared = request.headers.get("content-length", "")
    if not declared.isdecimal():
        return None
    if len(declared) > 18 or int(declared) > most:
        raise _refuse_size(most)
    return int(declared)


def _refuse_size(most: int) -> AnswerError:
    return AnswerError(413, "the bundle is too large", f"this node takes at most {format_bytes(most)}", CLOSE)
