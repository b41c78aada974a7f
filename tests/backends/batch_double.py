"""A Batch API as the client's own types describe it; what becomes of batches and requests is told by the test."""

import json
import re
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from openai.types import Batch, FileObject
from pytest_httpserver import HTTPServer
from werkzeug import Request as Received
from werkzeug import Response

Outcome = tuple[int, Any]
"""A status and a body, as HTTP would give them; 0 is an error of the batch itself, with its code."""


def chat(text: object = '{"label": "sports"}', finish: str = "stop", **message: object) -> Outcome:
    said = {"role": "assistant", "content": text, **message}
    body = {
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "model": "m-2026-01-01",
        "system_fingerprint": "fp_1",
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }
    return 200, body


def fault(status: int, message: str = "no", **error: object) -> Outcome:
    return status, {"error": {"message": message, "type": None, "param": None, "code": None, **error}}


@dataclass
class Plan:
    """How a batch ends, and what becomes of each text in it; None is nothing at all."""

    status: str = "completed"
    outcome: Callable[[str], Outcome | None] = lambda text: chat(f'{{"label": "{text}"}}')
    errors: list[dict[str, Any]] | None = None
    looks: int = 1
    """How often it is seen in progress."""


@dataclass
class BatchDouble:
    """Files and batches; a batch makes a step with every look at it."""

    plans: deque[Plan] = field(default_factory=deque)
    """Of the next batches; after them, all is answered."""
    page: int = 2
    """How many are listed at once."""
    broken_call: int = -1
    """The number of the call that breaks, from 0."""
    lost: Literal["request", "answer"] = "request"
    """What of it is lost."""
    hides_answers: bool = False
    """Whether files that it names are not there."""
    calls: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    files: dict[str, tuple[FileObject, bytes]] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    most_under_way: int = 0
    """Batches at the same time."""
    _looks: Counter[str] = field(default_factory=Counter)
    _plan_of: dict[str, Plan] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, server: HTTPServer) -> None:
        server.expect_request(re.compile("/v1/.*")).respond_with_handler(self)

    def __call__(self, received: Received) -> Response:
        with self._lock:
            number = len(self.calls)
            self.calls.append(f"{received.method} {received.path}")
            self.headers.append(dict(received.headers))
            if number == self.broken_call and self.lost == "request":
                return _hang_up(received)
            response = self._answer(received)
            return _hang_up(received) if number == self.broken_call else response

    @property
    def uploads(self) -> list[str]:
        return [file.filename for file, _ in self.files.values() if file.purpose == "batch"]

    def lines(self, batch: Batch) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch.input_file_id][1].splitlines()]

    @property
    def asked(self) -> Counter[str]:
        """How often each text was put into a batch that was not refused as a whole."""
        batches = [batch for batch in self.batches.values() if batch.status != "failed"]
        return Counter(_text(line) for batch in batches for line in self.lines(batch))

    def _answer(self, received: Received) -> Response:  # noqa: PLR0911 - one for each call
        match received.method, received.path.removeprefix("/v1/").split("/"):
            case "POST", ["files"]:
                upload = received.files["file"]
                return _json(self._keep(str(upload.filename), upload.read(), received.form["purpose"]))
            case "GET", ["files"]:
                files = [file for file, _ in self.files.values() if file.purpose == received.args["purpose"]]
                return self._page(files, received)
            case "GET", ["files", file_id, "content"] if self._has(file_id):
                return Response(self.files[file_id][1], content_type="application/octet-stream")
            case "POST", ["batches"]:
                return _json(self._begin(received.get_json()))
            case "GET", ["batches"]:
                return self._page(list(self.batches.values())[::-1], received)
            case "GET", ["batches", batch_id]:
                return _json(self._step(self.batches[batch_id]))
        return Response(json.dumps(fault(404)[1]), 404)

    def _has(self, file_id: str) -> bool:
        return file_id in self.files and not (self.hides_answers and self.files[file_id][0].purpose == "batch_output")

    def _page(self, listed: list[Any], received: Received) -> Response:
        after = next((place for place, one in enumerate(listed, 1) if one.id == received.args.get("after")), 0)
        page = listed[after : after + self.page]
        data = [one.model_dump(mode="json") for one in page]
        body = {"object": "list", "data": data, "has_more": after + self.page < len(listed)}
        return Response(json.dumps(body), content_type="application/json")

    def _keep(self, name: str, content: bytes, purpose: Any) -> FileObject:
        file = FileObject(
            id=f"file-{len(self.files)}",
            bytes=len(content),
            created_at=int(time.time()),
            filename=name,
            object="file",
            purpose=purpose,
            status="processed",
        )
        self.files[file.id] = file, content
        return file

    def _begin(self, asked: dict[str, Any]) -> Batch:
        batch = Batch(
            id=f"batch_{len(self.batches)}", created_at=int(time.time()), object="batch", status="validating", **asked
        )
        self.batches[batch.id] = batch
        under_way = [one for one in self.batches.values() if one.status in ("validating", "in_progress")]
        self.most_under_way = max(self.most_under_way, len(under_way))
        self._plan_of[batch.id] = self.plans.popleft() if self.plans else Plan()
        return batch

    def _step(self, batch: Batch) -> Batch:
        plan = self._plan_of[batch.id]
        total = len(self.lines(batch))
        looks = self._looks[batch.id]
        self._looks[batch.id] += 1
        if plan.status != "failed" and looks < plan.looks:
            done = total * looks // plan.looks
            changed = {"status": "in_progress", "request_counts": {"completed": done, "failed": 0, "total": total}}
        elif batch.status in ("validating", "in_progress"):
            changed = self._end(batch, plan)
        else:
            changed = {}
        self.batches[batch.id] = Batch.model_validate(batch.model_dump() | changed)
        return self.batches[batch.id]

    def _end(self, batch: Batch, plan: Plan) -> dict[str, Any]:
        if plan.status == "failed":
            return {"status": "failed", "errors": {"object": "list", "data": plan.errors}}
        good: list[bytes] = []
        bad: list[bytes] = []
        for line in self.lines(batch):
            outcome = plan.outcome(_text(line))
            if outcome is None:
                continue
            status, body = outcome
            response = {"status_code": status, "request_id": "r", "body": body} if status else None
            error = None if status else {"code": body, "message": "it was not run"}
            answer = {"id": "r", "custom_id": line["custom_id"], "response": response, "error": error}
            (good if status == 200 else bad).append(json.dumps(answer).encode())
        kept = [
            self._keep(name, b"\n".join(lines) + b"\n", "batch_output").id if lines else None
            for name, lines in (("output", good[::-1]), ("error", bad))
        ]
        counts = {"completed": len(good), "failed": len(bad), "total": len(self.lines(batch))}
        ids = {"output_file_id": kept[0], "error_file_id": kept[1]}
        return {"status": plan.status, "request_counts": counts, **ids}


def _text(line: dict[str, Any]) -> str:
    return str(line["body"]["messages"][-1]["content"])


def _json(model: Batch | FileObject) -> Response:
    return Response(model.model_dump_json(), content_type="application/json")


def _hang_up(received: Received) -> Response:
    connection: socket.socket = received.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response()
