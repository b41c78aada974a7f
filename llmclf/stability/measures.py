"""How stable a model's answers are: what repeats, label orders, other wordings and coded labels do to them."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from llmclf.agreement import Coefficient, Ratings, Undefined
from llmclf.agreement.counts import Floats
from llmclf.agreement.flip_rate import flips_from
from llmclf.agreement.intervals import jackknifed_mean
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.ratings import MISSING
from llmclf.agreement.variance_components import (
    Facet,
    VarianceComponents,
    variance_components,
    variance_components_of_labels,
)
from llmclf.backends.base import Json, Origin
from llmclf.errors import InputError
from llmclf.policy import Policy
from llmclf.stability.ways import WayAnswers
from llmclf.variants import Variant

ChangeKind = Literal["repeat", "order", "paraphrase", "codes"]
FACETS: Final[Mapping[ChangeKind, Facet]] = {
    "repeat": "run",
    "order": "order",
    "paraphrase": "paraphrase",
    "codes": "codes",
}
"""Of each kind of change, as what it is a source of variance."""
NAMES: Final[Mapping[ChangeKind, str]] = {
    "repeat": "repeat",
    "order": "label order",
    "paraphrase": "paraphrase",
    "codes": "codes for labels",
}
"""Of the kinds of change, as people say them."""


@dataclass(frozen=True)
class Change:
    """What one kind of change in how a question is asked does to the answers to the plain question."""

    kind: ChangeKind
    n_ways: int
    """Beside the plain one."""
    n_items: int
    """With a label in the plain way and in another."""
    n_flipped: int
    """Of these, how many have another label in at least one way."""
    flip_rate: Coefficient
    """The share of other ways with another label than in the plain one, averaged over items."""
    spread: Coefficient
    """The total variation between probabilities in another and the plain way, averaged over ways and items.

    Of a set, that of each label's two probabilities, averaged over labels.
    """
    agreement: Coefficient
    """Krippendorff's alpha of all these ways, the plain one included."""
    components: VarianceComponents | Undefined
    """Of a score's values; of other questions, of the labels' indicators."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return asdict(self)


def stability_ways(
    repeats: int, orders: int, *, codes: bool = False, paraphrases: Mapping[str, Sequence[str]] | None = None
) -> tuple[Variant, ...]:
    """Give the ways to ask for a stability audit, the plain one first.

    Args:
        repeats: how often the plain question is asked in all.
        orders: in how many orders of the labels it is asked in all.
        codes: whether letters also stand for the labels' names.
        paraphrases: other wordings, by question.

    Raises:
        InputError: there is one way only, and nothing to compare.

    """
    wordings = {question: tuple(asks) for question, asks in (paraphrases or {}).items()}
    plain, *others = Policy(orders=orders, paraphrases=wordings).variants
    again = [Variant("repeat", number) for number in range(1, repeats)]
    ways = (plain, *again, *others, *([Variant("codes")] if codes else []))
    if len(ways) == 1:
        raise InputError("one way to ask cannot be compared", "Give --repeats or --orders of 2 or more, or --codes")
    return ways


def read_paraphrases(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read other wordings: TOML, each question's name with a list of texts.

    Raises:
        InputError: there is no such file, or it holds something else.

    """
    hint = 'Write a line a question: NAME = ["another wording", "one more"]'
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        found = TypeAdapter(dict[str, tuple[str, ...]]).validate_python(content)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"no paraphrases at {path}: {error}", hint) from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise InputError(f"{path}: {' '.join(map(str, fault['loc']))}: {fault['msg']}", hint) from None
    if not all(ask.strip() for asks in found.values() for ask in asks):
        raise InputError(f"{path}: a wording is blank", hint)
    return found


def changes(answers: WayAnswers) -> list[Change]:
    """Measure each kind of change that was asked."""
    return [_change(answers, kind, columns) for kind in FACETS if (columns := answers.columns(kind))]


def flips_by_item(answers: WayAnswers, kinds: Iterable[ChangeKind] = tuple(FACETS)) -> Floats:
    """Give for each item the share of its labels in ways of these kinds that differ from the plain one, or NaN."""
    columns = [column for kind in kinds for column in answers.columns(kind)]
    return flips_from(answers.codes[:, columns], answers.codes[:, 0])


def spread_by_item(answers: WayAnswers, kinds: Iterable[ChangeKind] = tuple(FACETS)) -> Floats:
    """Give for each item the total variation between other ways' probabilities and the plain one's, or NaN."""
    columns = [column for kind in kinds for column in answers.columns(kind)]
    apart = np.abs(answers.probabilities[:, columns] - answers.probabilities[:, :1])
    by_way = apart.mean(axis=-1) if answers.question.kind == "set" else apart.sum(axis=-1) / 2
    known = ~np.isnan(by_way)
    total, n_known = np.where(known, by_way, 0.0).sum(axis=1), known.sum(axis=1)
    spread: Floats = np.divide(total, n_known, out=np.full(len(by_way), np.nan), where=n_known > 0)
    return spread


def repeats_show(settings: Mapping[str, Json], origins: Iterable[Origin]) -> str:
    """Say what a repeat can show of one who answers with these settings, where that is less than chance.

    Nothing where answers are drawn.
    """
    if settings.get("reproducible"):
        return "repeats: this engine gives the same bits each time: a repeat cannot differ"
    if "likelihoods" in origins or "reproducible" in settings:
        return "repeats: scores are computed, not drawn: a repeat shows rounding in batches"
    if settings.get("temperature") == 0:
        return "repeats: at temperature 0 a repeat shows what changes in the server, and no more"
    return ""


def _change(answers: WayAnswers, kind: ChangeKind, columns: Sequence[int]) -> Change:
    flips = flips_by_item(answers, [kind])
    codes = answers.codes[:, [0, *columns]]
    names = tuple(f"{column}" for column in (0, *columns))
    ratings = Ratings(codes, answers.items, names, answers.scale, answers.question.level, scale_declared=True)
    return Change(
        kind=kind,
        n_ways=len(columns),
        n_items=int(np.count_nonzero(~np.isnan(flips))),
        n_flipped=int(np.count_nonzero(flips > 0)),
        flip_rate=_mean(flips, "no item has a label in two ways"),
        spread=_mean(spread_by_item(answers, [kind]), "no item has all labels' probabilities in two ways"),
        agreement=krippendorff_alpha(ratings),
        components=_components(answers, ratings, FACETS[kind]),
    )


def _mean(by_item: Floats, otherwise: str) -> Coefficient:
    known = by_item[~np.isnan(by_item)]
    return jackknifed_mean(known, (0.0, 1.0)) if len(known) else Undefined(otherwise)


def _components(answers: WayAnswers, ratings: Ratings, facet: Facet) -> VarianceComponents | Undefined:
    if answers.question.kind == "score":
        values = np.where(ratings.codes == MISSING, np.nan, ratings.values[ratings.codes])
        return variance_components(values, facet=facet)
    return variance_components_of_labels(ratings.codes, facet)


@dataclass(frozen=True)
class ItemStability:
    """How stable the answer to one question about one item is."""

    item: str
    question: str
    label: str
    """In the plain way; blank where it has none there."""
    flip_rate: float | None
    """The share of other ways with another label; None without a label to compare."""
    spread: float | None
    """The mean total variation between the probabilities in other ways and in the plain one."""
    by_kind: Mapping[ChangeKind, float | None]
    """The flip rate of each kind of change."""
    labels: Mapping[str, str]
    """Those that differ, by the way."""


def items_by_stability(answers: WayAnswers) -> list[ItemStability]:
    """Give all items, the least stable first: those that flip most often, of equals those that spread furthest."""
    kinds = [kind for kind in FACETS if answers.columns(kind)]
    flips, spread = flips_by_item(answers), spread_by_item(answers)
    by_kind = {kind: flips_by_item(answers, [kind]) for kind in kinds}
    order = np.lexsort((-np.nan_to_num(spread), -np.nan_to_num(flips)))
    return [
        ItemStability(
            item=answers.items[row],
            question=answers.question.name,
            label=_label(answers, row, 0),
            flip_rate=_known(flips[row]),
            spread=_known(spread[row]),
            by_kind={kind: _known(found[row]) for kind, found in by_kind.items()},
            labels={
                str(way): _label(answers, row, column)
                for column, way in enumerate(answers.ways)
                if answers.codes[row, column] not in (MISSING, answers.codes[row, 0])
            },
        )
        for row in order.tolist()
    ]


def _label(answers: WayAnswers, row: int, column: int) -> str:
    code = int(answers.codes[row, column])
    return "" if code == MISSING else answers.scale[code]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
