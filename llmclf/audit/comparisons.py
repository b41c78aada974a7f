"""A model beside one person, or beside the consensus of a crowd: coefficients, confusion, each label."""

import json
from dataclasses import replace
from typing import Final

import numpy as np

from llmclf.agreement import Coefficient, Ratings, Undefined, coefficients
from llmclf.agreement.classification import ClassAgreement, class_agreement, confusion_table
from llmclf.agreement.estimate import NO_PAIRS
from llmclf.agreement.marginal_homogeneity import stuart_maxwell
from llmclf.agreement.pair_agreement import pair_replicates
from llmclf.agreement.prevalence_bias import divergence
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.annotations import Kind
from llmclf.audit.labels import Labels
from llmclf.audit.report import Baseline, Coefficients, Comparison, Homogeneity, LabelAgreement, NoValue, Value
from llmclf.audit.report import Coefficient as Shown
from llmclf.levels import Level

_NAMES: Final = ("percent_agreement", "cohen_kappa", "krippendorff_alpha", "gwet_ac1", "mcc", "macro_f1")
_MEASURED: Final = ("weighted_kappa_linear", "weighted_kappa_quadratic", "gwet_ac2_quadratic", "spearman")
_SETS: Final = ("krippendorff_alpha_masi", "krippendorff_alpha_jaccard")
_MOST_LABELS = 200
"""Of a confusion table that anybody would look at."""


def names_of_pairs(level: Level) -> list[str]:
    """Give the coefficients that two annotators are compared by."""
    measured = level not in (Level.NOMINAL, Level.SET)
    return [*_NAMES, *(_MEASURED if measured else ()), *(_SETS if level is Level.SET else ())]


def shown(coefficient: Coefficient) -> Shown:
    """Give a coefficient as the document has it."""
    if isinstance(coefficient, Undefined):
        return NoValue(undefined=coefficient.reason)
    return Value.model_validate(coefficient.to_dict())


def shown_all(found: dict[str, Coefficient]) -> Coefficients:
    """Give coefficients as the document has them."""
    return {name: shown(coefficient) for name, coefficient in found.items()}


def agreement_of(ratings: Ratings, pair: tuple[str, str]) -> Shown:
    """Give the agreement of two annotators by the coefficient that verdicts rest on."""
    found = pair_replicates(ratings, pair)
    return shown(found if isinstance(found, Undefined) else found.estimate())


def compare(labels: Labels, model: str, person: str, kind: Kind) -> Comparison:
    """Compare a model with one annotator of `Labels.beside`."""
    both = labels.beside.select([person, model])
    theirs, own = both.codes.T
    paired = (theirs != MISSING) & (own != MISSING)
    n_items = int(np.count_nonzero(paired))
    names = names_of_pairs(both.level)
    found: dict[str, Coefficient] = dict.fromkeys(names, Undefined(NO_PAIRS))
    if n_items:
        found = coefficients(both, names)
    ties = int(np.count_nonzero(labels.consensus.tied & (own != MISSING))) if kind is Kind.CROWD else 0
    tested = stuart_maxwell(both)
    is_set = both.level is Level.SET
    return Comparison(
        kind=str(kind),
        annotator=person,
        n_items=n_items,
        ties=ties,
        agreement=agreement_of(labels.beside, (person, model)),
        coefficients=shown_all(found),
        baseline=_baseline(both, paired, names) if n_items else None,
        labels=_set_labels(both, labels.question.codes) if is_set else _labels(class_agreement(both)),
        confusion=[] if is_set else _confusion(both),
        marginal_homogeneity=NoValue(undefined=tested.reason)
        if isinstance(tested, Undefined)
        else Homogeneity.model_validate(tested.to_dict()),
        divergence=divergence(found["cohen_kappa"], found["gwet_ac1"]),
    )


def _baseline(both: Ratings, paired: Codes, names: list[str]) -> Baseline:
    theirs = both.codes[:, 0]
    usual = int(np.bincount(theirs[paired]).argmax())
    always = np.where(paired, usual, MISSING).astype(both.codes.dtype)
    beside = replace(both, codes=np.column_stack([theirs, always]))
    return Baseline(label=both.scale[usual], coefficients=shown_all(coefficients(beside, names)))


def _confusion(both: Ratings) -> list[list[int]]:
    table = confusion_table(both) if len(both.scale) <= _MOST_LABELS else NO_PAIRS
    return table.tolist() if isinstance(table, np.ndarray) else []


def _labels(found: tuple[ClassAgreement, ...] | Undefined) -> list[LabelAgreement]:
    return [] if isinstance(found, Undefined) else [_label(one.label, one) for one in found]


def _label(name: str, one: ClassAgreement) -> LabelAgreement:
    return LabelAgreement(
        label=name,
        n_reference=one.n_reference,
        n_judged=one.n_judged,
        n_both=one.n_both,
        precision=shown(one.precision),
        recall=shown(one.recall),
        f1=shown(one.f1),
    )


def _set_labels(both: Ratings, members: tuple[str, ...]) -> list[LabelAgreement]:
    """Compare sets label by label: whether each is in them."""
    sets = [set(json.loads(text)) for text in both.scale]
    found = []
    for member in members:
        applies = np.array([*(int(member in one) for one in sets), MISSING], dtype=np.int8)  # the last is that of -1
        binary = replace(both, codes=applies[both.codes], scale=("no", "yes"), level=Level.NOMINAL)
        classes = class_agreement(binary)
        found += [] if isinstance(classes, Undefined) else [_label(member, classes[1])]
    return found
