"""A policy: how the records of what a model said become labels, and which records that takes. One TOML or JSON file."""

import json
import logging
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmclf.backends.base import Origin
from llmclf.codebook import Codebook
from llmclf.errors import InputError, unknown
from llmclf.fitted import Fitted
from llmclf.items import Item
from llmclf.variants import PLAIN, Variant, orders, random_words

log = logging.getLogger("llmclf")
Said = TypeVar("Said")

Correction = Literal["none", "content-free", "batch", "batch-mean"]
Share = Annotated[float, Field(gt=0, le=1)]
LEAST_WINDOW = 50
"""Items with an answer that a batch correction takes at least."""
LEAST_WORDS_FROM = 20
"""Items that random words are drawn from at least."""


@dataclass(frozen=True, slots=True)
class ContentFree:
    """Texts that say nothing: those that are always the same, and those of random words."""

    fixed: tuple[str, ...] = ()
    random: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Give all of them."""
        return self.fixed + self.random

    def parted(self, replies: Sequence[Said]) -> list[Sequence[Said]]:
        """Part what was said about all of them by the two kinds, as far as there are any."""
        kinds = replies[: len(self.fixed)], replies[len(self.fixed) :]
        return [kind for kind in kinds if kind]


NO_TEXTS = ContentFree()


class Policy(BaseModel):
    """How replies become labels: a pure function of records, which says what records it takes.

    Scores are read, corrected in each way of asking, averaged over these, shifted to the declared label shares,
    calibrated, and turned into a label, or into none where that is too unlikely.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = "policy"
    reading: Literal["sum", "mean"] = "sum"
    """Of a label's tokens."""
    channel: bool = False
    """Read how likely the text is given the label (Min et al. 2022), not the label given the text."""
    orders: int = Field(default=1, ge=1)
    """In how many orders of the labels each question is asked."""
    paraphrases: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Other wordings of the questions, by question; each is asked, too."""
    correction: Correction = "none"
    """What is taken from a label's log-score: what it has on texts that say nothing (`content-free`), or over the first
    items (`batch`: Zhou et al. 2024; `batch-mean`)."""
    content_free: tuple[str, ...] = ("N/A", "[MASK]", "...")
    """Texts that say nothing (Zhao et al. 2021); one that names the domain makes this domain PMI (Holtzman et al.
    2021)."""
    random_texts: int = Field(default=0, ge=0)
    """How many texts of random words of the items (Fei et al. 2023); beside the others, each kind has half a say."""
    strength: float = Field(default=1.0, ge=0)
    """How much of the correction is taken."""
    window: int = Field(default=1000, ge=LEAST_WINDOW)
    """The first items, from which a batch correction is learned, or random words are drawn; it then stays."""
    prior: Mapping[str, Mapping[str, Share]] = Field(default_factory=dict)
    """The label shares that are assumed, by question and label."""
    temperature: float = Field(default=1.0, gt=0)
    """By which log-scores are divided."""
    score: Literal["mode", "expected", "median"] = "mode"
    """What of the distribution a `score` question is answered with; see `llmclf.calibration.score_reading`."""
    least_probability: float | None = Field(default=None, ge=0, le=1)
    """Below it there is no label, and the status is `abstained`."""
    fitted: Mapping[str, Fitted] = Field(default_factory=dict)
    """What labelled examples have settled, by question."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The ways in which each question is asked."""
        if self.channel:
            return (Variant("channel"),)
        most = max(map(len, self.paraphrases.values()), default=0)
        wordings = (
            tuple((question, asks[number]) for question, asks in self.paraphrases.items() if number < len(asks))
            for number in range(most)
        )
        paraphrases = (Variant("paraphrase", number, most, ask) for number, ask in enumerate(wordings, 1))
        return (PLAIN, *orders(self.orders), *paraphrases)

    @property
    def takes_texts(self) -> bool:
        """Whether texts that say nothing are asked about."""
        return self.correction == "content-free"

    def texts(self, items: Iterable[Item]) -> "ContentFree":
        """Give the texts that say nothing; those of random words are of these items' words."""
        if not self.takes_texts:
            return NO_TEXTS
        return ContentFree(self.content_free, random_words(items, self.random_texts) if self.random_texts else ())

    @property
    def learns(self) -> bool:
        """Whether it takes a window of the items to learn a correction from."""
        return self.correction in ("batch", "batch-mean")

    @property
    def is_raw(self) -> bool:
        """Whether each answer is taken as it is."""
        return self.model_copy(update={"name": RAW.name}) == RAW

    @property
    def assumes(self) -> str:
        """What it assumes of the label shares, in words."""
        if self.prior:
            return f"the label shares declared for {', '.join(self.prior)}"
        return f"equal label shares in the first {self.window} items" if self.learns else "no label shares"

    def for_answers(self, codebook: Codebook, origin: Origin | None) -> "Policy":
        """Give the policy for probabilities of this origin: `default` is raw where labels have no likelihoods.

        Raises:
            InputError: it takes other probabilities than there will be, or does not go with the codebook.

        """
        self.check(codebook)
        reasoned = next((question.name for question in codebook.questions if question.reasons), None)
        if self.is_raw or (origin == "likelihoods" and not reasoned):
            return self
        if self == DEFAULT:
            return RAW
        if self.channel or (self.correction != "none" and (reasoned or origin is None)):
            what = f"{reasoned!r} asks for reasons" if reasoned else "here none are scored"
            raise InputError(
                f"the policy {self.name} takes the likelihoods of all labels, and {what}",
                "Use the policy raw, or ask a local model for labels alone",
            )
        return self

    def for_best_only(self) -> "Policy":
        """Give the policy where no more is scored than it takes to find the best label: `default` is raw.

        Raises:
            InputError: it takes the likelihoods of all labels.

        """
        if self.is_raw or self == DEFAULT:
            return RAW
        raise InputError(f"the policy {self.name} takes the likelihoods of all labels", "Leave out --best-only")

    @property
    def takes_window(self) -> bool:
        """Whether it takes the first items, to learn from or to draw words from."""
        return self.learns or (self.takes_texts and self.random_texts > 0)

    def for_items(self, window: Iterable[Item]) -> Self:
        """Give what stands for it where there are too few items: the correction by texts that are always the same."""
        return self.for_count(sum(not item.problem for item in window))

    def for_count(self, count: int) -> Self:
        """Give what stands for it where so many of the first items can be asked about; see `for_items`."""
        least = LEAST_WINDOW if self.learns else LEAST_WORDS_FROM
        if not self.takes_window or count >= least:
            return self
        if self.fitted:
            raise InputError(f"the policy {self.name} was fitted to scores by {least} items or more", "Fit another")
        fixed = {"content_free": self.content_free or RAW.content_free, "random_texts": 0}
        name = f"{self.name}, content-free"
        if count:
            log.info("%d items are too few for all of the policy %s: it is %s", count, self.name, name)
        return self.model_copy(update={"correction": "content-free", "name": name, **fixed})

    def check(self, codebook: Codebook) -> None:
        """Check that all that it says of questions and labels is in a codebook.

        Raises:
            InputError: something is not.

        """
        known = [question.name for question in codebook.questions]
        for where, names in ("paraphrases", self.paraphrases), ("prior", self.prior), ("fitted", self.fitted):
            for name in (name for name in names if name not in known):
                raise InputError(f"policy {self.name}, {where}: {unknown('question', name, known)}")
        for name, fitted in self.fitted.items():
            codes = codebook.get(name).codes
            if fitted.labels and fitted.labels != codes:
                order = ", ".join(fitted.labels)
                raise InputError(
                    f"policy {self.name} was fitted to {name!r} with the labels {order}, in this order",
                    f"Fit one to {', '.join(codes)}",
                )
        for name, shares in self.prior.items():
            question = codebook.get(name)
            if question.kind == "set" or {question.read(label) for label in shares} != set(question.codes):
                hint = "Leave it out" if question.kind == "set" else f"Give shares of {', '.join(question.codes)}"
                raise InputError(f"policy {self.name}: the prior of {name!r} gives not one share to each label", hint)

    @classmethod
    def of(cls, policy: "Policy | str | Path") -> "Policy":
        """Give a policy that may be given by its name or as a file; see `load`."""
        return policy if isinstance(policy, Policy) else cls.load(policy)

    @classmethod
    def load(cls, name: str | Path) -> "Policy":
        """Give a policy by its name, or from a TOML or JSON file: what it says differs from `base`, or from raw.

        Raises:
            InputError: there is no such policy, or the file is none.

        """
        if str(name) in POLICIES:
            return POLICIES[str(name)]
        path = Path(name)
        if path.suffix not in (".toml", ".json"):
            raise InputError(unknown("policy", str(name), POLICIES), "Or give a TOML file")
        try:
            text = path.read_text(encoding="utf-8-sig")
            content: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
            base = POLICIES[str(content.pop("base"))].model_dump() if "base" in content else {}
            return cls.model_validate({**base, "name": path.stem, **content})
        except KeyError as error:
            raise InputError(f"{path}: {unknown('policy', str(error.args[0]), POLICIES)}") from None
        except FileNotFoundError:
            raise InputError(f"no policy at {path}", f"Give a TOML file, or one of {', '.join(POLICIES)}") from None
        except ValidationError as error:
            fault = error.errors()[0]
            place = " ".join(map(str, fault["loc"]))
            if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
                raise InputError(f"{path}: {unknown('key', place, cls.model_fields)}") from None
            message = fault["msg"].removeprefix("Value error, ")
            raise InputError(f"{path}: {f'{place}: ' if place else ''}{message}") from None
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path} cannot be read as {path.suffix[1:].upper()}: {error}") from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.channel and (self.orders > 1 or self.paraphrases):
            raise ValueError("the channel is asked in one way: leave out orders and paraphrases")
        if self.prior and self.correction == "none":
            raise ValueError('a prior takes the place of the model\'s own: give a correction, as "content-free"')
        if not all(text.strip() for text in self.content_free):
            raise ValueError("content_free: each text has at least a character")
        if self.takes_texts and not self.content_free and not self.random_texts:
            raise ValueError("a content-free correction takes texts: give content_free or random_texts")
        for name, shares in self.prior.items():
            if abs(sum(shares.values()) - 1) > 1e-6:
                raise ValueError(f"prior: the shares of {name!r} sum to {sum(shares.values()):g}, not to 1")
        return self


RAW = Policy(name="raw")
DEFAULT = Policy(name="default", reading="mean", correction="content-free", random_texts=20, temperature=0.5)
"""It needs no labels and assumes no label shares; chosen by `evals/zero_shot.py`."""
POLICIES: Mapping[str, Policy] = {
    policy.name: policy
    for policy in (
        DEFAULT,
        RAW,
        Policy(name="mean", reading="mean"),
        Policy(name="content-free", correction="content-free"),
        Policy(name="random-words", correction="content-free", content_free=(), random_texts=20),
        Policy(name="channel", channel=True),
        Policy(name="orders", orders=4),
        Policy(name="batch", correction="batch"),
        Policy(name="batch-mean", correction="batch-mean"),
    )
}
