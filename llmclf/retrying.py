"""Asking again what failed, from the record alone."""

from collections.abc import Iterator
from pathlib import Path

from llmclf.backends.base import Reply
from llmclf.errors import InputError
from llmclf.job import Job
from llmclf.job_file import JobFile, open_records


def retry(path: str | Path, number: int | None = None, *, also_final: bool = False) -> Iterator[Reply]:
    """Ask again what failed, and give the replies as they come; the model is opened as the job was begun.

    Raises:
        InputError: the job's backend was opened in Python, or its record keeps no texts.
        StoreError: another process works on the file.

    """
    with open_records(path) as records:
        file = JobFile(records)
        number = file.choose(number)
        plan, codebook = file.plans[number], file.codebook(number)
        failed = [reply for one in file.beside(number) for reply in file.failed(one, also_final=also_final)]
    if not failed:
        return
    if not plan.uri:
        raise InputError(f"{plan.annotator} was opened in Python", "Run the same job there again")
    if plan.text_key:
        raise InputError("the record keeps no texts to ask about again", "Run the same annotate again")
    job = Job(path, codebook, plan.uri, phone_regions=plan.phone_regions, plan_number=number)
    try:
        yield from job.ask_again(failed)
    finally:
        job.close()
