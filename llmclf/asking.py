"""What is asked about an item, in which form, and in which order of the prompt."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, islice

from llmclf.backends.base import (
    AnswerForm,
    Backend,
    Likelihoods,
    Message,
    Reading,
    Request,
    RequestId,
    Structured,
    Typed,
)
from llmclf.codebook import Codebook, Label, Question
from llmclf.decisions import NO, YES
from llmclf.errors import InputError
from llmclf.items import Item
from llmclf.prompts import ORDERS, Order, Prompt
from llmclf.schemas import reply_schema
from llmclf.variants import PLAIN, Asked, Variant, asked_questions

_SAMPLE = 32
"""Items whose prompts are counted before an order is chosen."""


class Questions:
    """A codebook's questions, as one backend can answer them, in all ways in which they are asked.

    Raises:
        PromptError: the codebook's prompt does not render.
        InputError: the backend cannot answer in the form that is wanted.

    """

    def __init__(
        self,
        codebook: Codebook,
        backend: Backend,
        order: Order = "codebook",
        best_only: Reading | None = None,
        variants: Sequence[Variant] = (PLAIN,),
    ) -> None:
        self.asked = asked_questions(codebook, variants)
        self._forms = backend.forms
        self._prompt = Prompt(codebook, order)
        self._unit = codebook.unit
        self._best_only = best_only
        reasoned = next((question for question in codebook.questions if question.reasons), None)
        if reasoned and Structured not in backend.forms:
            raise InputError(
                f"the question {reasoned.name!r} asks for {' and '.join(reasoned.reasons)}, "
                f"and {backend.name} writes none",
                "Use a backend that writes JSON, or ask for the label alone",
            )
        if any(one.variant.kind == "channel" for one in self.asked):
            self._check_channel()
        if best_only and (reasoned or Likelihoods not in backend.forms):
            raise InputError("best-only is about likelihoods, and here none are scored", "Leave out --best-only")

    def about(self, item: Item, asked: Asked) -> list[tuple[tuple[Message, ...], AnswerForm]]:
        """Give what is asked of the model: one request, or for a set without reasons one for each label."""
        question = asked.question
        if asked.variant.kind == "channel":
            return [(self._prompt.channel(question, label), Likelihoods((item.words,))) for label in question.labels]
        if question.reasons or self._forms == {Structured}:
            form = _structured(question)
            return [(self._prompt.messages(question, item, reply_schema=form.schema), form)]
        if Typed in self._forms:
            messages = self._prompt.messages(question, item, typed=True)
            return [(messages, form) for form in self._typed(question)]
        if question.kind == "set":
            yes_or_no = Likelihoods((YES, NO))
            return [(self._prompt.messages(question, item, label=label), yes_or_no) for label in question.labels]
        names = tuple(label.name for label in question.labels)
        return [(self._prompt.messages(question, item), Likelihoods(names, self._best_only))]

    def _check_channel(self) -> None:
        if Likelihoods not in self._forms:
            raise InputError("the channel takes the likelihood of a text, and none is scored here", "Use a local model")
        asked = next((one.base.name for one in self.asked if one.base.kind == "set" or one.base.reasons), None)
        if asked:
            raise InputError(
                f"the channel gives no answer to {asked!r}, which asks for a set or for reasons", "Use another policy"
            )

    def _typed(self, question: Question) -> Iterator[Typed]:
        if question.kind == "set":
            for label in question.labels:
                statement = (question.ask, f"This label applies to the {self._unit}: {label.name}", _definition(label))
                yield Typed("predicate", "\n".join(filter(None, statement)), (YES, NO))
        else:
            names = tuple(label.name for label in question.labels)
            yield Typed(question.kind, question.ask, names, tuple(map(_definition, question.labels)))


@cache
def _structured(question: Question) -> Structured:
    """Give the form of a written answer."""
    return Structured("answer", reply_schema(question))


def _definition(label: Label) -> str:
    lines = [label.definition] if label.definition else []
    for name, values in ("Includes", label.includes), ("Excludes", label.excludes), ("Example", label.examples):
        lines += [f"{name}: {value}" for value in values]
    return "\n".join(lines)


def check_samples(backend: Backend, samples: int) -> None:
    """Check that a backend answers the same question in more ways than one, if several samples are wanted.

    Raises:
        InputError: it scores labels, or it always writes what is likeliest.

    """
    if samples < 1:
        raise InputError(f"samples is {samples}", "Give 1 or more")
    if samples > 1 and Likelihoods in backend.forms:
        raise InputError(
            f"samples are of labels that are written, and {backend.name} gives those of all labels a probability",
            "Ask once, without --samples",
        )
    if samples > 1 and backend.identity.settings.get("temperature", 0) == 0:
        raise InputError(
            f"at temperature 0 all samples of {backend.name} would be the same",
            "Give the setting temperature=1, or none for the model's own",
        )


def asked_again(request: Request, text: str, reason: str, request_id: RequestId) -> Request:
    """Give the request that follows a reply which cannot be read: with that reply, and what is wrong with it."""
    messages = request.messages[:-1] if request.messages[-1].role == "assistant" else request.messages
    told = Message(
        "user", (f"That reply cannot be used: {reason}. Reply again, with JSON of the form asked for only.",)
    )
    return replace(request, id=request_id, messages=(*messages, Message("assistant", (text,)), told))


def choose_order(
    items: Iterator[Item], codebook: Codebook, backend: Backend, variants: Sequence[Variant] = (PLAIN,)
) -> tuple[Order, Iterator[Item]]:
    """Give the order in which the backend reads the fewest tokens, judged by the first items, and all items again.

    The codebook comes first where one request an item leaves nothing to share, and where the backend cannot tell.
    """
    asked = asked_questions(codebook, variants)
    asks_once = len(asked) == 1 and asked[0].question.kind != "set"
    if asks_once or backend.tokens_to_read([]) is None:
        return "codebook", items
    sample = list(islice(items, _SAMPLE))
    by_order = {order: Questions(codebook, backend, order, variants=variants) for order in ORDERS}
    costs = {order: backend.tokens_to_read(_requests(sample, by_order[order])) or 0 for order in ORDERS}
    return min(ORDERS, key=costs.__getitem__), chain(sample, items)


def _requests(items: Sequence[Item], questions: Questions) -> Iterator[Request]:
    for item in items:
        if not item.problem:
            for asked in questions.asked:
                yield from (Request(0, messages, form) for messages, form in questions.about(item, asked))
