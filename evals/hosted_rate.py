"""Requests a second that a hosted backend keeps up, beside a bare loop over the same client.

The server is a process of its own that answers every request after so many milliseconds, and does nothing else. All
cases take turns, round by round, since other work on the machine changes what is possible; the shares are of the bare
loop in the same round.

python -m evals.hosted_rate [MILLISECONDS] [CONCURRENCY] [REQUESTS] [ROUNDS]
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from llmclf.backends.base import Completion, Message, Request, Structured
from llmclf.backends.hosted import HostedBackend

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["sports", "politics"]}},
    "required": ["label"],
    "additionalProperties": False,
}
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": '{"label": "sports"}'},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 7, "total_tokens": 67},
    }
).encode()
RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)


class Slow(asyncio.Protocol):
    """Answers each request after `seconds`; a connection carries one at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer when the body is whole."""
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            self._buffer = b""
            asyncio.get_running_loop().call_later(self._seconds, self._transport.write, RESPONSE)


async def serve(seconds: float) -> None:
    """Serve on a free port, and print it."""
    server = await asyncio.get_running_loop().create_server(lambda: Slow(seconds), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def question(number: int) -> Request:
    """Ask about one text."""
    system = Message("system", ("Say what the text is about. " * 8,))
    return Request(number, (system, Message("user", (f"Text {number}: " + "the team won " * 10,))), FORM)


FORM = Structured("answer", json.dumps(SCHEMA))


def bare_loop(address: str, concurrency: int, count: int) -> None:
    """Ask with the client alone: so many tasks, each asking again as soon as it is answered."""
    import openai

    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}

    async def main() -> None:
        client: Any = openai.AsyncOpenAI(api_key="none", base_url=address, max_retries=0)
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                messages = [{"role": m.role, "content": m.content} for m in question(number).messages]
                await client.chat.completions.create(
                    model="m", messages=messages, response_format=form, temperature=0.0, max_tokens=512
                )

        await asyncio.gather(*(work() for _ in range(concurrency)))
        await client.close()

    asyncio.run(main())


def backend(address: str, count: int, **settings: Any) -> None:  # noqa: ANN401 - the backend's own
    """Ask with the backend, and make sure that it brought the answers."""
    hosted = HostedBackend("m", address, **settings)
    kinds = Counter(type(reply) for reply in hosted.answer(map(question, range(count))))
    hosted.close()
    assert kinds == {Completion: count}


def main() -> None:
    """Print a line a case: requests a second, its share of the bare loop's, and this process's time a request."""
    given = [float(argument) for argument in sys.argv[1:]] + [200, 200, 4000, 5][len(sys.argv) - 1 :]
    milliseconds, concurrency, count, rounds = given[0], *map(int, given[1:])
    command = [sys.executable, "-m", "evals.hosted_rate", "serve", str(milliseconds / 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own
        assert server.stdout
        address = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        cases: dict[str, Callable[[], None]] = {
            f"bare loop, {concurrency} in flight": lambda: bare_loop(address, concurrency, count),
            f"llmclf, {concurrency} in flight": lambda: backend(address, count, concurrency=concurrency),
            "llmclf, as many as it finds": lambda: backend(address, count),
        }
        rates: dict[str, list[float]] = {name: [] for name in cases}
        work: dict[str, list[float]] = {name: [] for name in cases}
        bare_loop(address, 1, 1)  # the client's own start counts for nobody
        for _ in range(rounds):
            for name, case in cases.items():
                began, worked = time.perf_counter(), time.process_time()
                case()
                rates[name].append(count / (time.perf_counter() - began))
                work[name].append((time.process_time() - worked) / count)
        server.terminate()
    bare = next(iter(rates.values()))
    for name in cases:
        share = statistics.median(rate / other for rate, other in zip(rates[name], bare, strict=True))
        rate, spent = statistics.median(rates[name]), statistics.median(work[name])
        print(f"{name:<28} {rate:5.0f} requests/s  {share:.2f} of the bare loop  {1000 * spent:.2f} ms a request")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(float(sys.argv[2])))
    else:
        main()
