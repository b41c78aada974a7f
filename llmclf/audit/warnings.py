"""What a reader must know before trusting the numbers."""

from collections.abc import Sequence

import numpy as np

from llmclf.agreement.ratings import MISSING
from llmclf.annotations import Kind
from llmclf.audit.labels import Labels
from llmclf.audit.report import Plan
from llmclf.served import change

_FEW_ITEMS = 100
_MANY_ALIKE = 0.85


def question_warnings(labels: Labels) -> list[str]:
    """Give what is to be known of the labels of one question."""
    people = labels.ratings.select([*labels.experts, *labels.names[Kind.CROWD]]).codes
    given = people[people != MISSING]
    n_items = int(np.count_nonzero((people != MISSING).any(axis=1)))
    most = float(np.bincount(given).max() / len(given)) if len(given) else 0.0
    if n_items <= _FEW_ITEMS and most >= _MANY_ALIKE:
        return [
            f"{labels.question.name}: {n_items} items, and {most:.0%} of people's labels are the same: "
            "intervals at 95 % may cover less"
        ]
    return []


def plan_warnings(plans: Sequence[Plan]) -> list[str]:
    """Tell of models that changed while they answered."""
    said = [(plan, change(plan.served)) for plan in plans]
    return [f"{plan.job}, plan {plan.number}: {changed}" for plan, changed in said if changed]
