"""A job on a Ray cluster: actors, each with a backend of its own, that take one micro-batch after the other."""

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from llmclf.annotations import Annotation
from llmclf.asked_plan import Step
from llmclf.backends.base import Identity, Reading
from llmclf.backends.registry import KEY_VARIABLES
from llmclf.budget import Price
from llmclf.codebook import Codebook
from llmclf.errors import BackendError, InputError, LlmclfError, MissingPackage
from llmclf.items import ItemTable
from llmclf.job_file import JobFile
from llmclf.micro_batches import Annotator, Assignment, Done, MicroBatch, begin, micro_batches, take_in
from llmclf.plan import Plan
from llmclf.policy import RAW
from llmclf.prompts import Order
from llmclf.store import Store
from llmclf.tables import is_stream

log = logging.getLogger("llmclf")

_OBJECT_STORE = 100 * 2**20
"""Bytes, where the cluster is this machine: what passes through it is a few hundred a micro-batch."""
_CONNECT_SECONDS = 5.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # it would tell on standard output of actors that were ended
    "RAY_ENABLE_AUTO_CONNECT": "0",  # threads that outlive a fault would begin a cluster of their own
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True, slots=True)
class Pool:
    """The actors, what of a machine each of them takes, and how many items one takes at a time."""

    actors: int = 2
    cpus: float = 1.0
    gpus: float = 0.0
    micro_batch: int = 1000

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 1 if field.type is int else 0
            if isinstance(value, bool) or not isinstance(value, int | field.type) or value < least:
                raise InputError(f"the setting {field.name} is {value!r}", f"Give a number from {least} up")

    @property
    def share(self) -> dict[str, float]:
        """What one actor takes, as Ray wants it said."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


class RayJob:
    """Asks a codebook's questions of a backend that every actor opens, and records all replies in a job file.

    What it leaves is the file of an ordinary `Job`: each may go on where the other was left, but for the records of
    micro-batches that are not finished, which lie beside it until it goes on here. The first items are asked about by
    one actor: that settles what the others keep to. Equal texts are asked about once a micro-batch. Input and job file
    lie in a folder that all machines of the cluster share.

    Args:
        path: the job file.
        codebook: what is asked.
        uri: who is asked; see `open_backend`.
        settings: the backend's, and the pool's: actors, cpus, gpus, micro_batch; see `Pool`.
        order: what comes first in the prompts; None chooses.
        price: gives the model's price by its name in tables.
        local_only: refuse a backend to which texts would leave the machine of an actor.

    Raises:
        InputError: a setting is none, or this machine has less than the actors shall take.
        MissingPackage: Ray is not installed.
        BackendError: the cluster at RAY_ADDRESS cannot be reached.

    """

    def __init__(
        self,
        path: str | Path,
        codebook: Codebook,
        uri: str,
        settings: Mapping[str, Any],
        order: Order | None = None,
        *,
        price: Callable[[str], Price] | None = None,
        local_only: bool = False,
    ) -> None:
        names = {field.name for field in fields(Pool)}
        self._pool = Pool(**{name: value for name, value in settings.items() if name in names})
        self._settings = {name: value for name, value in settings.items() if name not in names}
        self._path, self._codebook, self._uri = Path(path), codebook, uri
        self._order, self._price, self._local_only = order, price, local_only
        self._number = 0
        self.asked = self.found = self.kept = self.lost = self.under_way = 0
        self.policy = RAW
        self.cost: float | None = None
        """As those of a `Job`; of micro-batches that are finished."""
        with ExitStack() as undo:
            self._ray = _connect(undo, self._pool)
            self._undo = undo.pop_all()

    def run_table(
        self, table: ItemTable, *, best_only: Reading | None = None, count: int | None = None
    ) -> Iterator[Step]:
        """Ask about every item of a table what is not on record; see `Job.run_table`.

        Raises:
            InputError: the table can be read only once, or the job was begun in another way.
            BackendError: nothing more can be answered, or actors are ended again and again.
            StoreError: another process works on the file.

        """
        if is_stream(table.path):
            raise InputError(f"{table.path} can be read only once, and actors read their own parts", "Give a file")
        keys = {name: os.environ[name] for name in KEY_VARIABLES if name in os.environ}
        assignment = Assignment(
            str(Path.cwd()),
            str(self._path),
            self._codebook,
            self._uri,
            self._settings,
            self._local_only,
            keys,
            table,
            best_only,
        )
        yield self._begin(assignment, count)
        records = self._path.with_name(f"{self._path.name}.micro-batches")
        last = self._store.last_row(self._number)
        assert last, "a table has a row"
        batches = micro_batches(table, last, self._pool.micro_batch, records, self._number)
        for left in set(records.glob(f"{self._number}-*.sqlite")) - {Path(batch.record) for batch in batches}:
            take_in(self._store, left)
        if batches:
            records.mkdir(exist_ok=True)
            with closing(self._done(assignment, batches)) as done:
                yield from self._take_in(batches, done)
        if records.exists() and not any(records.iterdir()):
            records.rmdir()

    def _begin(self, assignment: Assignment, count: int | None) -> Step:
        remote: Any = self._ray.remote(**self._pool.share)(_told(begin))
        begun = self._unless_fault(lambda: self._ray.get(remote.remote(assignment, self._order, count)))
        self._number, self.kept, done = begun
        return self._step(done)

    def _step(self, done: Done) -> Step:
        self.asked += done.asked
        self.found += done.found
        self.lost += done.lost
        if self._price:
            spent = self._store.spent(Identity(**self._plan.identity))
            self.cost = self._price(self._plan.annotator).of(spent)
        if done.attempts > 1:
            log.info("an actor was ended; %d requests that it had sent have no answer on record", done.lost)
        return Step(done.count, done.failed)

    def _take_in(self, batches: list[MicroBatch], done: Iterator[Done]) -> Iterator[Step]:
        """Take finished micro-batches in, in the order of the input, so that the record has no gaps."""
        finished: set[int] = set()
        waiting = iter(batches)
        batch = next(waiting, None)
        for one in done:
            finished.add(one.first)
            while batch and batch.first in finished:
                take_in(self._store, Path(batch.record), self._number, batch.first)
                batch = next(waiting, None)
            yield self._step(one)

    def _done(self, assignment: Assignment, batches: list[MicroBatch]) -> Generator[Done]:
        """Have the micro-batches asked about, and tell of each as it is done."""
        data: Any = self._ray.data
        actors = min(self._pool.actors, len(batches))
        dataset = data.from_items([asdict(batch) for batch in batches], override_num_blocks=len(batches)).map(
            _Actor,
            fn_constructor_args=(assignment, self._plan),
            compute=data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=1),
            **self._pool.share,
        )
        with closing(iter(dataset.iter_rows())) as rows:  # which ends the actors
            while done := self._unless_fault(lambda: next(rows, {"told": None})["told"]):
                yield done

    def _unless_fault(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what is called for
        """Give what Ray gives; raise what it was told in its place."""
        try:
            told = call()
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            hint = "Look for an actor that needs more memory than there is; the same command goes on"
            raise BackendError(f"Ray gave up: {reason}", hint) from error
        if isinstance(told, LlmclfError):
            raise told
        return told

    @cached_property
    def _store(self) -> Store:
        store = Store(self._path)
        self._undo.callback(store.close)
        return store

    @cached_property
    def _plan(self) -> Plan:
        return JobFile(self._store).plans[self._number]

    def annotations(self) -> Iterator[Annotation]:
        """Give the answers that are on record, in the order of the items; see `JobFile.annotations`."""
        return JobFile(self._store, {self._number: self._codebook}).annotations(self._number)

    def close(self) -> None:
        """End the actors, and let go of the file and the cluster."""
        self._undo.close()


class _Actor:
    """One of the pool, in a process of its own."""

    def __init__(self, assignment: Assignment, plan: Plan) -> None:
        self._assignment, self._plan = assignment, plan

    @cached_property
    def _annotator(self) -> Annotator:
        return Annotator(self._assignment, self._plan)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"told": _told(lambda: self._annotator.annotate(MicroBatch(**row)))()}


def _told(call: Callable[..., Any]) -> Callable[..., Any]:
    """Give an error of ours as a value: raised, it would come back in Ray's wrappings, after all of Ray's retries."""

    def tell(*args: Any) -> Any:  # noqa: ANN401 - as the call
        try:
            return call(*args)
        except LlmclfError as error:
            return error

    return tell


def _connect(undo: ExitStack, pool: Pool) -> Any:  # noqa: ANN401 - the package has no types of its own
    """Give Ray, connected to the cluster at RAY_ADDRESS, or begun on this machine."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingPackage("--engine ray needs Ray", "Run: pip install 'llmclf[ray]'") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        return ray
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_reachable(address)
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if not address:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    ray.init(**options)
    undo.callback(ray.shutdown)
    if not address:
        there = ray.cluster_resources()
        for name, wanted in ("CPU", pool.actors * pool.cpus), ("GPU", pool.actors * pool.gpus):
            if wanted > there.get(name, 0):
                undo.close()
                raise InputError(
                    f"{pool.actors} actors need {wanted:g} {name}s, and this machine has {there.get(name, 0):g}",
                    f"Give a smaller --setting {name.lower()}s, or fewer actors",
                )
    return ray


def _check_reachable(address: str) -> None:
    """Look for a listener: Ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        except OSError:
            raise BackendError(f"no Ray cluster answers at {address}", "Correct RAY_ADDRESS, or unset it") from None
