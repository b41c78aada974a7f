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
from llmclf.audit.report import Baseline, Comparison
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


def agreement_of(ratings: Ratings, pair: tuple[str, str]) -> Coefficient:
    """Give the agreement of two annotators by the coefficient that verdicts rest on."""
    found = pair_replicates(ratings, pair)
    return found if isinstance(found, Undefined) else found.estimate()


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
    is_set = both.level is Level.SET
    return Comparison(
        kind=str(kind),
        annotator=person,
        n_items=n_items,
        ties=ties,
        agreement=agreement_of(labels.beside, (person, model)),
        coefficients=found,
        baseline=_baseline(both, paired, names) if n_items else None,
        labels=_set_labels(both, labels.question.codes) if is_set else list(_classes(both)),
        confusion=[] if is_set else _confusion(both),
        marginal_homogeneity=stuart_maxwell(both),
        divergence=divergence(found["cohen_kappa"], found["gwet_ac1"]),
    )


def _baseline(both: Ratings, paired: Codes, names: list[str]) -> Baseline:
    theirs = both.codes[:, 0]
    usual = int(np.bincount(theirs[paired]).argmax())
    always = np.where(paired, usual, MISSING).astype(both.codes.dtype)
    beside = replace(both, codes=np.column_stack([theirs, always]))
    return Baseline(label=both.scale[usual], coefficients=coefficients(beside, names))


def _confusion(both: Ratings) -> list[list[int]]:
    table = confusion_table(both) if len(both.scale) <= _MOST_LABELS else NO_PAIRS
    return table.tolist() if isinstance(table, np.ndarray) else []


def _classes(both: Ratings) -> tuple[ClassAgreement, ...]:
    found = class_agreement(both)
    return () if isinstance(found, Undefined) else found


def _set_labels(both: Ratings, members: tuple[str, ...]) -> list[ClassAgreement]:
    """Compare sets label by label: whether each is in them."""
    sets = [set(json.loads(text)) for text in both.scale]
    found: list[ClassAgreement] = []
    for member in members:
        applies = np.array([*(int(member in one) for one in sets), MISSING], dtype=np.int8)  # the last is that of -1
        binary = replace(both, codes=applies[both.codes], scale=("no", "yes"), level=Level.NOMINAL)
        found += [replace(one, label=member) for one in _classes(binary)[1:]]
    return found
