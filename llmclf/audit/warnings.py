"""What a reader must know before trusting the numbers."""

from collections.abc import Sequence

import numpy as np

from llmclf.agreement.interval_warning import commonest_share, interval_warning
from llmclf.agreement.ratings import MISSING, pairable
from llmclf.annotations import Kind
from llmclf.audit.fitted_on import fitted_on, left_out
from llmclf.audit.labels import Labels
from llmclf.audit.report import Plan
from llmclf.served import change


def question_warnings(labels: Labels) -> list[str]:
    """Give what is to be known of the labels of one question."""
    people = labels.ratings.select([*labels.experts, *labels.names[Kind.CROWD]])
    share = commonest_share(people)
    warning = share and interval_warning(len(pairable(people.codes)), share)
    found = [f"{labels.question.name}: {warning}"] if warning else []
    by_people = (people.codes != MISSING).any(axis=1)
    for model in labels.models:
        own = labels.own_rows(model)
        fitted = {row.annotation.item for row in own if row.annotation.fitted_on == "itself"}
        if said := left_out(model, fitted_on(own)):
            found.append(f"{labels.question.name}: {said}")
        rated = by_people & np.array([item not in fitted for item in labels.ratings.items])
        shared = int(np.count_nonzero(rated & (labels.ratings.select([model]).codes[:, 0] != MISSING)))
        if shared < np.count_nonzero(rated):
            found.append(
                f"{labels.question.name}: {model} has a label for {shared} of the {np.count_nonzero(rated)} items that "
                "people labelled, and all that is said is about those; see its statuses, and whether ids are the same"
            )
    return found


def plan_warnings(plans: Sequence[Plan]) -> list[str]:
    """Tell of models that changed while they answered."""
    said = [(plan, change(plan.served)) for plan in plans]
    return [f"{plan.job}, plan {plan.number}: {changed}" for plan, changed in said if changed]
