"""A table in micro-batches: each is asked about on a record of its own, which is then taken into the job's."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from llmclf.backends.base import Identity, Reading
from llmclf.backends.registry import open_backend
from llmclf.codebook import Codebook
from llmclf.errors import BackendError, InputError, StoreError
from llmclf.items import Item, ItemTable
from llmclf.job import Job
from llmclf.plan import Plan
from llmclf.prompts import Order, Prompt
from llmclf.record_json import identity_digest, request_key
from llmclf.records import Records
from llmclf.store import Store

_FIRST = 32
"""Items that are asked about before all others: by them the order of the prompt is chosen."""

_MOST_ATTEMPTS = 4


@dataclass(frozen=True)
class Assignment:
    """What all who work on a job are told. Paths are those of the folder, which all of their machines share."""

    folder: str
    path: str
    """The job file."""
    codebook: Codebook
    uri: str
    settings: Mapping[str, Any]
    """The backend's."""
    local_only: bool
    keys: Mapping[str, str] = field(repr=False)
    """By environment variable; they go to the backend alone."""
    table: ItemTable
    best_only: Reading | None

    def enter(self) -> None:
        """Go to the folder, and take the keys."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            hint = "Work in a folder that all machines of the cluster share"
            raise InputError(f"an actor cannot go to {self.folder}: {error.strerror}", hint) from None
        os.environ.update(self.keys)


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Items that stand together in a table."""

    first: int
    """The position of the first of them, from 0."""
    place: int
    """Where it stands in the table."""
    count: int
    record: str
    """The path of the record of what is asked about them."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of items that all have been asked about."""

    first: int
    count: int
    asked: int
    found: int
    failed: int
    lost: int
    """Requests of earlier attempts that were sent, and have no answer on record."""
    attempts: int = 1
    """How often it was begun since the job last went on."""


@dataclass(frozen=True)
class _Head(ItemTable):
    """The first items of a table, wherever its reading begins."""

    most: int = _FIRST

    def items(self, start: int = 0) -> Iterator[Item]:
        return islice(super().items(start), self.most)


def begin(assignment: Assignment, order: Order | None, count: int | None) -> tuple[int, int, Done]:
    """Begin a job by its first items, or ask again what failed for the moment.

    Gives the number of its plan, how many items were on record before, and what is done. All that is settled when a job
    begins is settled by that.

    Raises:
        InputError: it was begun in another way.

    """
    assignment.enter()
    table = assignment.table
    job = Job(
        assignment.path,
        assignment.codebook,
        assignment.uri,
        assignment.settings,
        order,
        local_only=assignment.local_only,
    )
    try:
        # Of one that goes on, the item where it was left is read again.
        head = _Head(table.path, table.columns, table.given_format, 1 if job.plan else _FIRST)
        steps = list(job.run_table(head, best_only=assignment.best_only, count=count))
        items, failed = sum(step.items for step in steps), sum(step.failed for step in steps)
        return job.number, job.kept, Done(0, items, job.asked, job.found, failed, job.lost)
    finally:
        job.close()


def micro_batches(table: ItemTable, last: tuple[int, int], size: int, records: Path, plan: int) -> list[MicroBatch]:
    """Cut what follows the last item that is done, given by its position and place; their records lie in a folder.

    They end at multiples of their size, so that however often a job goes on, each has the same record.

    Raises:
        StoreError: the folder holds unfinished ones of another size.

    """
    position, place = last
    items = table.items(place)
    next(items)
    batches = []
    for number, group in groupby(enumerate(items, position + 1), lambda item: item[0] // size):
        (first, item), *others = group
        record = records / f"{plan}-{size}-{number}.sqlite"
        batches.append(MicroBatch(first, item.place, 1 + len(others), str(record)))
    for attempts in records.glob(f"{plan}-*.attempts"):
        attempts.unlink()
    for other in records.glob(f"{plan}-*.sqlite"):
        known = other.name.split("-")[1]
        if known != str(size):
            raise StoreError(f"{records} holds micro-batches of {known} items", f"Give --setting micro_batch={known}")
    return batches


class Annotator:
    """Asks about one micro-batch after the other, of one backend.

    Raises:
        InputError: its machine does not have the model or the prompt that the job was begun with.
        BackendError: the backend cannot be opened.

    """

    def __init__(self, assignment: Assignment, plan: Plan) -> None:
        assignment.enter()
        if Prompt(assignment.codebook).sources != plan.templates:
            hint = "Work in a folder that all machines of the cluster share"
            raise InputError("an actor's machine has another prompt.jinja than the job was begun with", hint)
        settings = {**assignment.settings, **plan.settings}
        self._backend = open_backend(assignment.uri, local_only=assignment.local_only, **settings)
        if dict(self._backend.identity.model) != plan.identity["model"]:
            self._backend.close()
            hint = "Give all machines the same model file"
            raise InputError("an actor's machine has another model than the job was begun with", hint)
        self._assignment, self._order = assignment, plan.order

    def annotate(self, batch: MicroBatch) -> Done:
        """Ask about a micro-batch's items what is not on its record.

        Raises:
            BackendError: nothing more can be answered, or too many processes were ended while they asked about them.

        """
        attempts = _count_attempt(batch)
        items = islice(self._assignment.table.items(batch.place), batch.count)
        job = Job(batch.record, self._assignment.codebook, self._backend, order=self._order)
        try:
            failed = sum(step.failed for step in job.run(items, best_only=self._assignment.best_only))
            return Done(batch.first, batch.count, job.asked, job.found, failed, job.lost, attempts)
        finally:
            job.close()

    def close(self) -> None:
        """Close the backend."""
        self._backend.close()


def _count_attempt(batch: MicroBatch) -> int:
    """Count in a file, since the process is ended without notice: Ray would begin again for ever."""
    path = Path(f"{batch.record}.attempts")
    with path.open("ab") as file:
        file.write(b".")
    attempts = path.stat().st_size
    if attempts > _MOST_ATTEMPTS:
        raise BackendError(
            f"{_MOST_ATTEMPTS} actors were ended while they asked about items {batch.first} and following",
            "Look for a want of memory; the same command goes on",
        )
    return attempts


def take_in(store: Store, path: Path, plan: int = 0, first: int = 0) -> None:
    """Move on record all that another one holds: its replies, and for a plan its items, from a position on."""
    with Store(path) as records:  # held, should an actor that nobody knows of still work on it
        numbers = _take_replies(store, records)
        if plan:
            _take_rows(store, records, numbers, plan, first)
    store.commit()
    path.unlink()
    Path(f"{path}.attempts").unlink(missing_ok=True)


def _take_replies(store: Store, records: Records) -> dict[int, int]:
    """Give the replies' numbers here by their numbers there."""
    numbers: dict[int, int] = {}
    identity, digest = Identity({}), b""
    for number, record in records.numbered():
        if record.identity != identity:
            identity, digest = record.identity, identity_digest(record.identity)
        key = request_key(record.request, digest)
        numbers[number] = store.add(record.request, key, identity, record.reply)
    return numbers


def _take_rows(store: Store, records: Records, numbers: Mapping[int, int], plan: int, first: int) -> None:
    ((theirs, _),) = records.plans().values()
    for position, (row, _) in enumerate(records.rows(theirs), first):
        replies = tuple(tuple(numbers[reply] for reply in asked) for asked in row.replies)
        store.put_row(plan, position, replace(row, replies=replies))
