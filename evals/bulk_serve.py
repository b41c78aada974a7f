"""One of `evals.bulk_servers`, in a process of its own.

python -m evals.bulk_serve '{"latency": 0.2}'   # prints its port, and ends with its standard input
"""

import asyncio
import json
import re
import sys
import threading
import time
from typing import Final

from evals.bulk_servers import Behaviour, Counts, label, number_in

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Bucket:
    """Tokens that come at a steady rate; a second's worth is kept."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Service:
    """What all connections share: what is to happen, and what has happened."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.counts = Counts()
        self._behaviour = behaviour
        self._bucket = Bucket(behaviour.allowed) if behaviour.allowed else None
        self._answered_at: dict[int, float] = {}

    def allows(self) -> bool:
        """Say whether a request may come now, and count one that may not."""
        is_allowed = self._bucket is None or self._bucket.take()
        self.counts.refused += not is_allowed
        return is_allowed

    def begin(self, number: int) -> tuple[float, str | None]:
        """Count a request about a text; give the seconds to its answer, and the fault that befalls it."""
        counts, fault = self.counts, self._behaviour.fault(number)
        counts.asked[number] += 1
        is_first = counts.asked[number] == 1
        if is_first:
            counts.first_asked.append(time.monotonic())
        if number in self._answered_at:
            counts.asked_again.append(self._answered_at.pop(number))
        if not is_first and fault not in {"refusal", "cut"}:
            fault = None
        return self._behaviour.stall if fault == "stall" else self._behaviour.latency, fault

    def end(self, number: int, fault: str | None) -> None:
        """Count an answer."""
        now = time.monotonic()
        self.counts.answered.append(now)
        if fault is None:
            self._answered_at[number] = now


class _Connection(asyncio.Protocol):
    """One connection, kept alive; HTTP as far as the openai client speaks it."""

    def __init__(self, service: _Service) -> None:
        self._service = service
        self._read = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if end and len(rest) >= size:
            self._read = rest[size:]
            self._serve(head, rest[:size])

    def _serve(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /requests "):
            self._send(str(self._service.counts.requests).encode())
        elif head.startswith(b"GET /counts "):
            self._send(json.dumps(vars(self._service.counts)).encode())
        elif not self._service.allows():
            self._send(b'{"error": {"message": "too fast"}}', status=b"429 Too Many Requests")
        else:
            number = number_in(body.decode())
            seconds, fault = self._service.begin(number)
            if seconds:
                self._loop.call_later(seconds, self._answer, number, fault)
            else:
                self._answer(number, fault)

    def _answer(self, number: int, fault: str | None) -> None:
        if self._transport.is_closing():
            return
        self._service.end(number, fault)
        match fault:
            case "500":
                self._send(b'{"error": {"message": "overloaded"}}', status=b"500 Internal Server Error")
            case "dropped":
                self._transport.abort()
            case "truncated":
                self._send(_completion(number)[:-20])
            case "html":
                self._send(b"<html>Come back later</html>", kind=b"text/html")
            case "refusal":
                self._send(_completion(number, refusal="I would rather not."))
            case "cut":
                self._send(_completion(number, finish="length"))
            case _:
                self._send(_completion(number))

    def _send(self, body: bytes, *, status: bytes = b"200 OK", kind: bytes = b"application/json") -> None:
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
        self._transport.write(head + body)


def _completion(number: int, *, finish: str = "stop", refusal: str | None = None) -> bytes:
    said = json.dumps({"label": label(number)})
    message = {
        "role": "assistant",
        "content": None if refusal else said[:-3] if finish == "length" else said,
        "refusal": refusal,
    }
    return json.dumps(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1,
            "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 8, "total_tokens": 108},
        }
    ).encode()


async def _run(behaviour: Behaviour) -> None:
    service, loop = _Service(behaviour), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(service), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    over = asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await over.wait()


if __name__ == "__main__":
    asyncio.run(_run(Behaviour(**json.loads(sys.argv[1]))))
