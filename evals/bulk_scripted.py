"""A job over a backend that answers at once, in a process of its own; says how far it is, a JSON line a step.

python -m evals.bulk_scripted TABLE CODEBOOK JOB OUT
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from evals.bulk_servers import LABELS, number_in
from llmclf.annotations import write_annotations
from llmclf.backends.base import Backend, Completion, Request, Structured
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook
from llmclf.items import ItemTable
from llmclf.job import Job
from llmclf.job_file import known_items

STEP = 1000
"""Requests from one line to the next."""
_ANSWERS = [json.dumps({"label": label}) for label in LABELS]


def say(event: str, asked: int) -> None:
    """Say what has happened, after how many requests, with the processors' seconds and the peak in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    sys.stdout.write(json.dumps({"event": event, "asked": asked, "cpu": time.process_time(), "peak": peak}) + "\n")
    sys.stdout.flush()


def script() -> Callable[[Request], Completion]:
    """Give a function that answers as the servers of `evals.bulk_servers` do, and counts aloud."""
    asked = 0

    def answer(request: Request) -> Completion:
        nonlocal asked
        if not asked:
            say("first", 0)
        asked += 1
        if asked % STEP == 0:
            say("asked", asked)
        number = number_in(request.messages[-1].content)
        return Completion(request.id, _ANSWERS[number % len(_ANSWERS)])

    return answer


def annotate(table: Path, codebook: Path, job: Path, out: Path, backend: Backend) -> None:
    """Do as `llmclf annotate` does."""
    items = ItemTable(table)
    count = known_items(job, items.source)
    if count is None:
        count = items.check()
    work = Job(job, Codebook.load(codebook), backend)
    try:
        for _ in work.run_table(items, count=count):
            pass
        write_annotations(out, work.annotations())
    finally:
        work.close()


def main() -> None:
    """Annotate a table."""
    table, codebook, job, out = map(Path, sys.argv[1:])
    annotate(table, codebook, job, out, ScriptedBackend(script(), forms=frozenset({Structured})))
    say("end", 0)


if __name__ == "__main__":
    main()
