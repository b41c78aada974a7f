"""What a reader must know before trusting the numbers."""

from collections.abc import Sequence

from llmclf.agreement.interval_warning import commonest_share, interval_warning
from llmclf.agreement.ratings import pairable
from llmclf.annotations import Kind
from llmclf.audit.labels import Labels
from llmclf.audit.report import Plan
from llmclf.served import change


def question_warnings(labels: Labels) -> list[str]:
    """Give what is to be known of the labels of one question."""
    people = labels.ratings.select([*labels.experts, *labels.names[Kind.CROWD]])
    share = commonest_share(people)
    warning = share and interval_warning(len(pairable(people.codes)), share)
    return [f"{labels.question.name}: {warning}"] if warning else []


def plan_warnings(plans: Sequence[Plan]) -> list[str]:
    """Tell of models that changed while they answered."""
    said = [(plan, change(plan.served)) for plan in plans]
    return [f"{plan.job}, plan {plan.number}: {changed}" for plan, changed in said if changed]
