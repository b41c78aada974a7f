"""Other ways to ask the same question, and texts that say nothing: what a policy may need beside the plain answer."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_uppercase
from typing import Any, Literal, Self

from llmclf.codebook import Codebook, Label, Question
from llmclf.items import Item, Turn

VariantKind = Literal["plain", "order", "paraphrase", "codes", "repeat", "channel"]
_SEED = 20250611


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to ask.

    `order` lists the labels in another order: rotated by `number / of` of their count or, on a scale, from the top.
    `paraphrase` asks in other words (`ask`, by question). `codes` lets letters stand for the labels' names. `repeat`
    asks the same once more. `channel` turns the question round: how likely are the text's words, given the label?
    """

    kind: VariantKind = "plain"
    number: int = 0
    of: int = 0
    ask: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.number}" if self.number else self.kind

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """Make it again from what `dataclasses.asdict` gave."""
        return cls(**{**content, "ask": tuple((question, ask) for question, ask in content["ask"])})

    def question(self, question: Question) -> Question | None:
        """Give the question as it is asked in this way; None where that is no other way."""
        if self.kind == "order":
            labels = self._ordered(question)
            return None if labels == question.label else question.model_copy(update={"label": labels})
        if self.kind == "paraphrase":
            words = dict(self.ask).get(question.name)
            return None if words is None else question.model_copy(update={"ask": words})
        if self.kind == "codes":
            codes = _codes(len(question.label))
            return question.model_copy(update={"label": tuple(map(_coded, question.label, codes))})
        return question

    def _ordered(self, question: Question) -> tuple[Label, ...]:
        labels = question.label
        if question.kind == "score":
            return labels[::-1] if self.number == 1 else labels
        different = min(self.of, len(labels))
        shift = self.number * len(labels) // different if self.number < different else 0
        return labels[shift:] + labels[:shift]


PLAIN = Variant()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in one of the ways in which it is asked."""

    base: Question
    """As the codebook has it."""
    variant: Variant
    question: Question
    """As it is asked, and replies to it are read."""

    @property
    def codes(self) -> tuple[str, ...]:
        """The codebook's codes of the labels, in the order of those asked about."""
        return self.base.codes if self.variant.kind == "codes" else self.question.codes

    def is_same(self, other: "Asked") -> bool:
        """Say whether it asks the same words of the same question; repeats are others."""
        one, two = (
            (
                asked.base.name,
                asked.question,
                asked.variant.kind == "channel",
                asked.variant.number if asked.variant.kind == "repeat" else 0,
            )
            for asked in (self, other)
        )
        return one == two


def asked_questions(codebook: Codebook, variants: Sequence[Variant] = (PLAIN,)) -> tuple[Asked, ...]:
    """Give what is asked about an item: each question in all ways that are different ones, side by side."""
    pairs = ((question, variant) for question in codebook.questions for variant in variants)
    found = ((question, variant, variant.question(question)) for question, variant in pairs)
    return tuple(Asked(question, variant, asked) for question, variant, asked in found if asked is not None)


def orders(count: int) -> tuple[Variant, ...]:
    """Give the ways to list labels in so many orders in all, spread evenly, but for the plain one."""
    return tuple(Variant("order", number, count) for number in range(1, count))


def items_that_say(texts: Iterable[str], codebook: Codebook, like: Iterable[Item] = ()) -> list[Item]:
    """Make items of texts that stand for no item, in the codebook's unit.

    In a conversation those speak who do in the longest of the items that it is to be like, each some of the words or,
    where there are too few, all of them.
    """
    ids = ((f"content-free {number}", text) for number, text in enumerate(texts, 1))
    if codebook.unit == "text":
        return [Item(name, text=text) for name, text in ids]
    longest = max((item.turns for item in like if not item.problem), key=len, default=())
    speakers = [turn.speaker for turn in longest] or ["A"]
    return [Item(name, turns=tuple(map(Turn, speakers, _shared(text, len(speakers))))) for name, text in ids]


def _shared(text: str, count: int) -> list[str]:
    """Give each of so many speakers some of a text's words, or all."""
    words = text.split()
    if len(words) < count:
        return [text] * count
    ends = [len(words) * number // count for number in range(count + 1)]
    return [" ".join(words[begin:end]) for begin, end in pairwise(ends)]


def random_words(items: Iterable[Item], count: int) -> tuple[str, ...]:
    """Draw texts of the items' own words at random, each of the items' mean length (Fei et al. 2023).

    The same items give the same texts.
    """
    said = [" ".join(turn.text for turn in item.turns) or item.text for item in items if not item.problem]
    words = [word for text in said for word in text.split()]
    drawn = random.Random(_SEED)  # noqa: S311 - no secret
    length = max(1, round(len(words) / max(1, len(said))))
    return tuple(" ".join(drawn.choices(words, k=length)) for _ in range(count)) if words else ()


def _codes(count: int) -> Sequence[str]:
    return ascii_uppercase[:count] if count <= len(ascii_uppercase) else [str(number + 1) for number in range(count)]


def _coded(label: Label, code: str) -> Label:
    definition = f"{label.name}: {label.definition}" if label.definition else label.name
    return label.model_copy(update={"name": code, "definition": definition})
