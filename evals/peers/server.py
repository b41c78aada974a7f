"""llama.cpp's own server, for the peers that need one: a process of its own, until its input is closed."""

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from evals.peers.measure import Task, Tokens

SLOTS = 8
_PLAIN = "{% for message in messages %}{{ message.content }}\n\n{% endfor %}Answer:"
"""For a model without a chat template of its own: what llmclf writes, too."""


@contextmanager
def serving(task: Task) -> Iterator[str]:
    """Start a server for the task's model, and give its address."""
    command = [sys.executable, "-m", "evals.peers.server", task.model, str(task.threads), str(task.context)]
    command.append("" if task.is_chat else _PLAIN)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        address = next((line.strip() for line in process.stdout if line.startswith("http")), None)
        if address is None:
            raise RuntimeError("the server ended before it had an address")
        yield address
    finally:
        process.stdin.close()
        process.wait()


def served_tokens(address: str) -> Tokens:
    """Ask a server what it has read and written by now."""
    with urllib.request.urlopen(f"{address}/metrics") as reply:  # noqa: S310 - on this machine
        lines = [line.split() for line in reply.read().decode().splitlines() if not line.startswith("#")]
    counts = {name.rpartition(":")[2]: float(value) for name, value in lines}
    return Tokens(int(counts["prompt_tokens_total"]), int(counts["tokens_predicted_total"]))


def in_slots(
    pool: ThreadPoolExecutor, ask: Callable[[str], list[str | None]]
) -> Callable[[Sequence[str]], list[str | None]]:
    """Ask about as many texts at a time as there are slots; a text's questions one by one, so that it is read once."""
    return lambda texts: [answer for answers in pool.map(ask, texts) for answer in answers]


def head_of(task: Task) -> str:
    """Give what stands before the text, for peers that write the user's message themselves."""
    return "\n\n".join(part for part in (task.system, task.head.strip()) if part)


def serve(model: str, threads: str, context: str, template: str) -> None:
    """Serve until the input is closed."""
    import xllamacpp  # type: ignore[import-untyped, unused-ignore]  # it has no types

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = int(context) * SLOTS  # which the server divides among its slots
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    params.chat_template = template
    params.endpoint_metrics = True
    params.cache_ram_mib = 0  # a slot's own cache holds what prompts share; copies of whole prompts only cost time
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(*sys.argv[1:])
