"""Several models' answers to one question -> one answer an item, and how far each model agrees with it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from llmclf.agreement import Undefined
from llmclf.agreement.counts import Floats
from llmclf.agreement.ratings import MISSING
from llmclf.annotations import FITTED_ON, Annotation, FittedOn, Kind, LabelValue, label_text
from llmclf.codebook import Question
from llmclf.ensembles.answers import ModelAnswers
from llmclf.ensembles.opinions import Gathered, Opinions
from llmclf.ensembles.pools import (
    Pooled,
    Reliability,
    by_dawid_skene,
    by_votes,
    linear_pool,
    logarithmic_pool,
    reliability,
)
from llmclf.errors import InputError, unknown
from llmclf.status import Status

Method = Literal["votes", "mean", "log-mean", "dawid-skene", "weighted"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
_POOLS: Final = ("mean", "log-mean", "weighted")
"""Methods that work on probabilities."""


@dataclass(frozen=True)
class Member:
    """What a model contributed."""

    model: str
    n_labels: int
    n_left_out: int
    """Of its labels, those that a pool had to leave out because they have not all probabilities."""
    agreement: float | None
    """With the ensemble: the share of items with the same label, of those that both labelled."""
    accuracy: float | None
    """Where the method measures it, see `reliability`; of a set, the mean over its labels."""
    weight: float | None


@dataclass(frozen=True)
class Ensemble:
    """One answer an item."""

    question: str
    method: Method
    annotations: Sequence[Annotation]
    members: tuple[Member, ...]
    n_several: int
    """Items that two models or more labelled."""
    n_unanimous: int
    """Those of them that all gave the same label."""
    measured_by: str
    """What the models' reliability was measured by: `people`, `Dawid-Skene`, or nothing."""

    @property
    def statuses(self) -> dict[str, int]:
        """Count what became of the items."""
        return dict(Counter(str(one.status) for one in self.annotations))

    @property
    def label_shares(self) -> dict[str, float]:
        """Give the share of each label among the labelled items, the most frequent first."""
        given = [one.label for one in self.annotations if one.label is not None]
        counts = Counter(code for label in given for code in ((label,) if isinstance(label, str) else label))
        return {code: count / len(given) for code, count in counts.most_common()}

    def to_dict(self) -> dict[str, Any]:
        """Give the summary, ready for JSON; annotations stand in the table."""
        return {
            "question": self.question,
            "method": self.method,
            "n_items": len(self.annotations),
            "statuses": self.statuses,
            "n_several": self.n_several,
            "n_unanimous": self.n_unanimous,
            "label_shares": self.label_shares,
            "measured_by": self.measured_by or None,
            "models": [asdict(member) for member in self.members],
        }


def ensemble(
    question: Question,
    models: Sequence[ModelAnswers],
    method: str,
    people: Mapping[str, LabelValue] | None = None,
) -> Ensemble:
    """Decide on one label an item by those of several models; see `llmclf.ensembles.pools` for the methods.

    A model without an answer to an item is left out there. Where nobody has one, the status is that which most have;
    where no label is above all others, it is `tied`; where a pool finds no answer with all probabilities, `failed`.
    A set is decided label by label, taken as independent, and tied where one of its labels is.

    Args:
        question: what was asked.
        models: two or more; from three on their reliability can be told from their votes alone.
        method: `votes`, `mean`, `log-mean`, `dawid-skene` or `weighted`.
        people: labels by item, by which `weighted` measures the models; by Dawid & Skene's model if not given.

    Raises:
        InputError: the models have no items in common, or do not give what the method needs.

    """
    chosen = next((one for one in METHODS if one == method), None)
    if chosen is None:
        raise InputError(unknown("method", method, METHODS))
    gathered = Gathered(question, models, people if chosen == "weighted" else None)
    _check(gathered, chosen)
    decided = [_decide(part, chosen, gathered.known(code)) for code, part in gathered.parts()]
    pooled, measured = zip(*decided, strict=True)
    annotations = list(_annotations(gathered, pooled, chosen))
    measured_by = ""
    if any(measured):
        measured_by = "people" if gathered.people is not None else "Dawid-Skene"
    several, unanimous = gathered.unanimity()
    members = tuple(_members(gathered, annotations, chosen, [one for one in measured if one]))
    return Ensemble(question.name, chosen, annotations, members, several, unanimous, measured_by)


def _check(gathered: Gathered, method: Method) -> None:
    about, names = f"question {gathered.question.name!r}", [model.model for model in gathered.models]
    if len(names) < 2:
        raise InputError(f"{about}: an ensemble needs two models, not {len(names)}", "Give their tables or jobs")
    labelled = np.zeros((len(names), len(gathered.items)), dtype=np.bool_)
    labelled[gathered.model, gathered.item] = True
    for name, own in zip(names, labelled, strict=True):
        if not (own & (labelled.sum(axis=0) > 1)).any():
            raise InputError(
                f"{about}: the model {name!r} labelled no item that another labelled", "Give answers to one table"
            )
    if method in _POOLS:
        for number, name in enumerate(names):
            if not gathered.is_whole[gathered.model == number].any():
                raise InputError(
                    f"{about}: the model {name!r} gives no probabilities of all labels, which {method} pools",
                    "Give --method votes or, of three models or more, dawid-skene",
                )
    if len(names) < 3 and (method == "dawid-skene" or (method == "weighted" and gathered.people is None)):
        raise InputError(
            f"{about}: the errors of two models cannot be told apart by their votes alone",
            "Give a third model, --method votes, or with people's labels --method weighted --expert FILE",
        )
    if gathered.people is not None and not gathered.people.keys() & gathered.place.keys():
        raise InputError(f"{about}: people labelled none of these items", "Give labels of the same items")


def _decide(part: Opinions, method: Method, known: Floats | None) -> tuple[Pooled, Reliability | None]:
    match method:
        case "votes":
            return by_votes(part), None
        case "mean":
            return linear_pool(part), None
        case "log-mean":
            return logarithmic_pool(part), None
        case "dawid-skene":
            pooled = _by_dawid_skene(part)
            return pooled, reliability(part.votes, pooled.probabilities)
        case "weighted":
            found = reliability(part.votes, _by_dawid_skene(part).probabilities if known is None else known)
            if not found.weight.any():
                raise InputError("no model is right more often than chance", "Give --method votes or mean")
            return logarithmic_pool(part, found.weight), found


def _by_dawid_skene(part: Opinions) -> Pooled:
    found = by_dawid_skene(part)
    if isinstance(found, Undefined):
        raise InputError(f"Dawid-Skene is undefined here: {found.undefined}", "Give --method votes or mean")
    return found


def _annotations(gathered: Gathered, pooled: Sequence[Pooled], method: Method) -> Iterator[Annotation]:
    """Write the parts of each item together."""
    question = gathered.question
    n_labels = np.bincount(gathered.item, minlength=len(gathered.items))
    codes = np.stack([part.codes for part in pooled], axis=1)
    n_answers = pooled[0].n_answers
    tables = [part.probabilities for part in pooled]
    for at, item in enumerate(gathered.items):
        probabilities: dict[str, float] = {}
        if not np.isnan(tables[0][at]).any():
            rows = [table[at].tolist() for table in tables]
            values = [row[1] for row in rows] if question.kind == "set" else rows[0]
            probabilities = dict(zip(question.codes, values, strict=True))
        label: LabelValue | None = None
        probability = None
        status = Status.OK
        if n_labels[at] == 0:
            status = _common_status(gathered, item)
        elif n_answers[at] == 0:
            status = Status.FAILED
        elif (codes[at] == MISSING).any():
            status = Status.TIED
        else:
            chosen = codes[at].tolist()
            if question.kind == "set":
                label = tuple(code for code, applies in zip(question.codes, chosen, strict=True) if applies)
            else:
                label = question.codes[chosen[0]]
            probability = float(np.prod([table[at, code] for table, code in zip(tables, chosen, strict=True)]))
        yield Annotation(
            item=item,
            question=question.name,
            annotator=f"ensemble({method})",
            kind=Kind.MODEL,
            label=label,
            probability=probability,
            probabilities=probabilities,
            origin="ensemble" if probabilities else None,
            status=status,
            fitted_on=_fitted_on(gathered, item),
        )


def _fitted_on(gathered: Gathered, item: str) -> FittedOn | None:
    """Say what the models' labels of an item rest on: on people's of it, too, where one does."""
    said = {model.by_item[item].fitted_on for model in gathered.models if item in model.by_item}
    if gathered.people and item in gathered.people:
        said.add("itself")
    return next((one for one in FITTED_ON if one in said), None)


def _common_status(gathered: Gathered, item: str) -> Status:
    """Give the status that most models have, the first of equals."""
    said = [model.by_item[item].status for model in gathered.models if item in model.by_item]
    return Counter(status if status is not Status.OK else Status.FAILED for status in said).most_common(1)[0][0]


def _members(
    gathered: Gathered, annotations: Sequence[Annotation], method: Method, measured: Sequence[Reliability]
) -> Iterator[Member]:
    labels = [one.label if one.label is None else label_text(one.label) for one in annotations]
    own = [labels[item] for item in gathered.item.tolist()]
    decided = np.array([label is not None for label in own])
    agrees = np.array(
        [label == label_text(one.label) for label, one in zip(own, gathered.answers, strict=True)], dtype=np.bool_
    )
    accuracy, weight = (
        np.mean([getattr(one, field) for one in measured], axis=0) if measured else None
        for field in ("accuracy", "weight")
    )
    for number, model in enumerate(gathered.models):
        its = gathered.model == number
        both = its & decided
        yield Member(
            model=model.model,
            n_labels=int(its.sum()),
            n_left_out=int((its & ~gathered.is_whole).sum()) if method in _POOLS else 0,
            agreement=float(agrees[both].mean()) if both.any() else None,
            accuracy=None if accuracy is None else float(accuracy[number]),
            weight=None if weight is None or method != "weighted" else float(weight[number]),
        )
