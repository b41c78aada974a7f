"""A job: a codebook asked of a backend, on one record. What is settled when it begins is kept to when it goes on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from llmclf.annotations import Annotation
from llmclf.asked_plan import AskedPlan, Step
from llmclf.asking import Questions, check_samples, choose_order
from llmclf.backends.base import Backend, Json, Reading, Reply
from llmclf.backends.recorded import RecordedBackend
from llmclf.backends.registry import open_backend
from llmclf.budget import Budget, Price
from llmclf.classifier import RE_ASK, Answered, ask
from llmclf.codebook import Codebook
from llmclf.errors import InputError
from llmclf.items import Item, ItemTable
from llmclf.job_file import JobFile, redactions_of
from llmclf.plan import Plan, Terms, find_plan, plan_key, versions
from llmclf.policy import NO_TEXTS, RAW, ContentFree, Policy
from llmclf.prompts import Order, Prompt
from llmclf.redaction import Redactor
from llmclf.store import Store
from llmclf.variants import PLAIN, Variant, asked_questions, items_that_say
from llmclf.without_texts import WithoutTexts, is_without_text, keyed_hash


class Job:
    """Asks a codebook's questions of a backend, and records all replies in a file.

    Args:
        path: the file; what is recorded there is not asked again.
        codebook: what is asked.
        backend: who is asked: an opened backend, which stays open, or a URI; see `open_backend`.
        settings: of the backend that a URI names; those that a job was begun with need not be given again.
        order: what comes first in the prompts; None chooses.
        samples: how often each question is asked; None is once, or as often as the job was begun with.
        re_ask: how often a model is told that its reply cannot be read, and why, and asked again.
        max_requests: how many are asked at most, until it is opened again.
        max_cost: what all replies on record of this model may cost, those under way included.
        price: gives the model's price by its name in tables.
        local_only: refuse a backend to which texts would leave this machine.
        phone_regions: where personal data is redacted before it is asked about: the countries whose phone numbers are
            found without a country code. What is redacted is kept in a file of its own beside this one.
        text_key: where texts are not to be kept: the key of the hashes in their place; see `text_key`.
        plan_number: of the plan in the file that is gone on with; None finds it by codebook, prompt and backend.
        policy: decides on labels; what it takes beside the plain answers is asked, too.
        keep_policy: whether the file's labels are from now on those of this policy.
        variants: for a stability audit alone: asks in these ways, beside the plan about the same table.

    Raises:
        InputError: a setting or the order differs from those that the job was begun with, or the model does.
        BackendError: the backend cannot be opened.
        StoreError: the file cannot be opened, or another process works on it.

    """

    def __init__(
        self,
        path: str | Path,
        codebook: Codebook,
        backend: Backend | str,
        settings: Mapping[str, Any] | None = None,
        order: Order | None = None,
        *,
        samples: int | None = None,
        re_ask: int = RE_ASK,
        max_requests: int | None = None,
        max_cost: float | None = None,
        price: Callable[[str], Price] | None = None,
        local_only: bool = False,
        phone_regions: Sequence[str] | None = None,
        text_key: bytes | None = None,
        plan_number: int | None = None,
        policy: Policy | str = RAW,
        keep_policy: bool = True,
        variants: Sequence[Variant] = (),
    ) -> None:
        self._path = Path(path)
        self._codebook = codebook
        self._uri = backend if isinstance(backend, str) else ""
        self._numbers: dict[int, int] = {}
        self._texts_plan, self._keeps_policy = 0, keep_policy
        with ExitStack() as undo:
            store = Store(path) if self._path.exists() else None  # none is made before the backend is open
            if store:
                undo.callback(store.close)
            templates = Prompt(codebook).sources
            name = self._uri or backend.name  # type: ignore[union-attr]  # no URI is empty
            plans = store.plans() if store else {}
            key, begun = find_plan(plans, codebook, templates, name, plan_number)
            terms = Terms(self._path, begun)
            self._order = terms.settle("order", order, begun and begun.order)
            self._samples = terms.settle("samples", samples, begun and begun.samples) or 1
            self._text_key = text_key
            self._text_key_mark = keyed_hash("", text_key) if text_key else ""
            self._regions = phone_regions and list(phone_regions)
            terms.check_privacy(self._text_key_mark, self._regions)
            if isinstance(backend, str):
                given = terms.settings(settings or {})
                backend = open_backend(backend, local_only=local_only, samples=self._samples, **given)
                undo.callback(backend.close)
            check_samples(backend, self._samples)
            terms.check_model(backend.identity)
            self.policy = Policy.of(policy).for_answers(codebook, "samples" if self._samples > 1 else backend.origin)
            self._for_stability = bool(variants)
            self._variants = begun.ways if begun and plan_number is not None else variants or self.policy.variants
            self._channel = _channel_templates(codebook, self.policy, text_key)
            store = store or Store(path)
            undo.callback(store.close)
            self._redactor = Redactor.open(redactions_of(path), self._regions) if self._regions else None
            if self._redactor:
                undo.callback(self._redactor.close)
            self._templates, self._store, self._name = templates, store, name
            self._main = self._plan_of(key if plan_number is not None else self._key())
            budget = _budget(backend, store, max_requests, max_cost, price)
            self._let_go = undo.pop_all().close
        self._re_ask = re_ask
        self.kept = 0
        """Items of which all was on record before it was opened."""
        self._budget = budget
        self._backend = RecordedBackend(backend, store, budget, self._numbers)

    def annotate(self, items: Iterable[Item], *, best_only: Reading | None = None) -> Iterator[Annotation]:
        """Annotate items, in their order, asking only what is not on record; all are asked about before the first."""
        for _ in self.run(items, best_only=best_only):
            pass
        yield from self.annotations()

    def annotations(self) -> Iterator[Annotation]:
        """Give the answers that are on record, in the order of the items; see `JobFile.annotations`."""
        if not self.number:  # no item, so that it was not begun
            return iter(())
        return self._file.annotations(self.number, self._redactor, self.policy)

    @property
    def _file(self) -> JobFile:
        return JobFile(self._store, {self.number: self._codebook})

    def run(self, items: Iterable[Item], *, best_only: Reading | None = None) -> Iterator[Step]:
        """Ask about every item what is not on record, and tell of each as it is done."""
        return self._run(iter(items), best_only, None, None)

    def run_table(
        self, table: ItemTable, *, best_only: Reading | None = None, count: int | None = None
    ) -> Iterator[Step]:
        """Ask about every item of a table, beginning after the last one that was finished; see `run`.

        Args:
            table: what it is read from; a file that has not changed is not read again up to where it was left.
            best_only: see `ask`.
            count: how many items it has, to be kept with the job.

        """
        return self._run(None, best_only, table, count)

    def _run(
        self, items: Iterator[Item] | None, best_only: Reading | None, table: ItemTable | None, count: int | None
    ) -> Iterator[Step]:
        source: Json = None
        if table and table.source:
            source = {"table": table.source, "best_only": repr(best_only)}
        position = 0
        failed = self._retryable()
        if table:
            # Without texts, what has failed cannot be asked again from the record.
            can_go_on = self._main.is_begun_with(source) and not (failed and self._text_key)
            last = self._store.last_row(self.number) if can_go_on else None
            items = table.items(last[1] if last else 0)
            if last:
                position = last[0] + 1
                next(items)
        assert items is not None
        window, items = self._window(items, table)
        self.policy = self.policy.for_items(window)
        if self._redactor:
            items = map(self._redactor.item, items)
        if not self._order:
            self._order, items = choose_order(items, self._codebook, self._backend, self._variants)
        if self._text_key:
            questions = Questions(self._codebook, self._backend, self._order, best_only, self._variants)
            self._backend.keeping = WithoutTexts(self._codebook, questions, self._text_key)
        if self.policy.takes_texts:
            yield from self._ask_about(self.policy.texts(window), window, source, count)
            self._keep_policy()
        if position:
            self.kept = position
            yield Step(position)
            for _ in self.ask_again(failed):
                pass
        answered = self._ask(items, best_only)
        first = list(islice(answered, 1))
        if not position and (first or self.plan):  # a beginning that brings no answer binds nobody
            self._main.begin(self._plan(), source, count)
        yield from self._main.keep(chain(first, answered), position)
        self._keep_policy()

    def _window(self, items: Iterator[Item], table: ItemTable | None) -> tuple[list[Item], Iterator[Item]]:
        """Give the first items, as far as the policy takes them, and all again; none where no text may be kept."""
        if not self.policy.takes_window or self._text_key:
            return [], items
        first = table.items(0) if table and table.source else items
        window = list(islice(first, self.policy.window))
        if first is items:
            items = chain(window, items)
        return list(map(self._redactor.item, window)) if self._redactor else window, items

    def _ask(self, items: Iterable[Item], best_only: Reading | None = None) -> Iterator[Answered]:
        return ask(
            items,
            self._codebook,
            self._backend,
            order=self._order,
            best_only=best_only,
            samples=self._samples,
            re_ask=self._re_ask,
            variants=self._variants,
        )

    def _ask_about(self, texts: ContentFree, like: Sequence[Item], source: Json, count: int | None) -> Iterator[Step]:
        """Ask about texts that say nothing, as a plan of their own beside that about the items."""
        beside = self._plan_of(self._key(texts))
        last = self._store.last_row(beside.number)
        if last and last[0] + 1 == len(texts.all) and not self._file.failed(beside.number, also_final=False):
            self._texts_plan = beside.number
            return
        answered = self._ask(items_that_say(texts.all, self._codebook, like))
        first = list(islice(answered, 1))
        if not self.plan:
            self._main.begin(self._plan(), source, count)
        beside.begin(self._plan(texts), None, len(texts.all))
        self._texts_plan = beside.number
        yield from (Step(0, step.failed) for step in beside.keep(chain(first, answered), 0))

    def _key(self, texts: ContentFree = NO_TEXTS) -> str:
        """Give the key of its plan about a table, or about texts that say nothing."""
        return plan_key(
            self._codebook,
            self._templates,
            self._name,
            self._variants,
            texts.all,
            self._channel,
            for_stability=self._for_stability,
        )

    def _plan_of(self, key: str) -> AskedPlan:
        reasons = self._codebook.reasons
        return AskedPlan(
            self._store,
            key,
            questions=len(asked_questions(self._codebook, self._variants)),
            numbers=self._numbers,
            keeps_words=bool("evidence" in reasons or (reasons and self._redactor)) and not self._text_key,
        )

    def _plan(self, texts: ContentFree = NO_TEXTS) -> Plan:
        """Give what is settled as its plan begins, about a table, or about texts that say nothing."""
        assert self._order
        return Plan(
            self._codebook.model_dump(mode="json"),
            self._templates,
            self._uri,
            self._backend.name,
            self._order,
            asdict(self._backend.identity),
            self._backend.resolved,
            self._backend.measured,
            self._samples,
            versions(),
            self._text_key_mark,
            self._regions,
            variants=[] if self._variants == (PLAIN,) else [asdict(variant) for variant in self._variants],
            texts=texts.fixed,
            random_texts=texts.random,
            channel_templates=self._channel,
            policy={} if texts.all else self._policy_content,
            for_stability=self._for_stability,
        )

    def _retryable(self) -> list[int]:
        """Give the numbers of its failures that a retry can help; those of other plans of this model are theirs."""
        failed = self._store.retryable(self._backend.identity)
        if failed and len(self._file.plans) > 1:
            own = set(self._file.failed(self.number, also_final=False))
            failed = [number for number in failed if number in own]
        return failed

    @property
    def _policy_content(self) -> dict[str, Any]:
        return {} if self.policy.is_raw else self.policy.model_dump(mode="json", exclude_defaults=True)

    def _keep_policy(self) -> None:
        """Record by which policy labels are decided on, where that is another one than before."""
        if not self.plan or self._for_stability:
            return
        file = self._file
        for number in file.of_same_table(self.number):
            plan = file.plans[number]
            kept = replace(plan, texts_plan=self._texts_plan or plan.texts_plan)
            if self._keeps_policy:
                kept = replace(kept, policy=self._policy_content)
            if not plan.for_stability and kept != plan:
                self._store.replace_plan(number, asdict(kept))

    def ask_again(self, numbers: Iterable[int]) -> Iterator[Reply]:
        """Ask again what is recorded as failed, by the numbers of the replies."""
        requests = []
        for place, number in enumerate(numbers):
            request = self._store.record(number).request
            if is_without_text(request):
                raise InputError("the record keeps no texts to ask about again", "Run the same annotate again")
            self._store.reopen(number)
            requests.append(replace(request, id=-1 - place))
        return self._backend.answer(requests)

    @property
    def plan(self) -> Plan | None:
        """How it was begun, once it is."""
        return self._main.plan

    @property
    def number(self) -> int:
        """The number of its plan in the file, once it is begun."""
        return self._main.number

    @property
    def asked(self) -> int:
        """Requests that the backend answered."""
        return self._backend.asked

    @property
    def found(self) -> int:
        """Requests that were answered from the record, or by an equal request's answer."""
        return self._backend.found

    @property
    def under_way(self) -> int:
        """Requests that were sent and are not answered."""
        return self._store.sent - self._backend.asked

    @property
    def lost(self) -> int:
        """Requests that were sent before the job was last stopped, and that have no answer on record."""
        return self._store.lost

    @property
    def cost(self) -> float | None:
        """What all replies on record of this model cost, where its price is known."""
        return self._budget.money

    def close(self) -> None:
        """Let go of the file, and of the backend if a URI named it."""
        self._let_go()


def _budget(
    backend: Backend,
    store: Store,
    max_requests: int | None,
    max_cost: float | None,
    price: Callable[[str], Price] | None,
) -> Budget:
    max_tokens = backend.identity.settings.get("max_tokens")
    return Budget(
        max_requests,
        max_cost,
        price and price(backend.name),
        spent=store.spent(backend.identity),
        max_tokens=max_tokens if isinstance(max_tokens, int) else None,
    )


def _channel_templates(codebook: Codebook, policy: Policy, text_key: bytes | None) -> Mapping[str, str]:
    if policy.channel and text_key:
        raise InputError("the channel scores texts, which would be on record", "Leave out --no-texts")
    return Prompt(codebook).channel_sources if policy.channel else {}
