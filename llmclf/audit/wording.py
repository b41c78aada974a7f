"""What was found, in sentences."""

from collections.abc import Sequence
from typing import Final

from llmclf.agreement import Coefficient, Estimate, Undefined
from llmclf.audit.numbers import shown, shown_interval
from llmclf.audit.report import Audit, ModelAudit, QuestionAudit

NAMES: Final = {
    "percent_agreement": "percent agreement",
    "cohen_kappa": "Cohen's kappa",
    "weighted_kappa_linear": "linear weighted kappa",
    "weighted_kappa_quadratic": "quadratic weighted kappa",
    "krippendorff_alpha": "Krippendorff's alpha",
    "krippendorff_alpha_masi": "alpha, MASI",
    "krippendorff_alpha_jaccard": "alpha, Jaccard",
    "gwet_ac1": "Gwet's AC1",
    "gwet_ac2_linear": "Gwet's AC2, linear",
    "gwet_ac2_quadratic": "Gwet's AC2, quadratic",
    "mcc": "Matthews correlation",
    "macro_f1": "macro-F1",
    "spearman": "Spearman's rho",
}
"""Of coefficients, as people say them."""


def name_of(coefficient: str) -> str:
    """Give a coefficient's name as people say it."""
    return NAMES.get(coefficient, coefficient.replace("_", " "))


def said(coefficient: Coefficient) -> str:
    """Write a coefficient with its interval, or why there is none."""
    if isinstance(coefficient, Undefined):
        return f"undefined ({coefficient.undefined})"
    return shown_interval(coefficient.value, coefficient.low, coefficient.high)


def sentence(question: QuestionAudit, model: ModelAudit) -> str:
    """Say in one sentence how the model fares on a question."""
    found = model.non_inferiority
    parts = [_agreement(question, model), _margin(model)]
    if found.verdict == "humans too unreliable":
        parts.append(f"the experts agree too little to be a standard: {found.reason}")
    if model.above_crowd and isinstance(model.above_crowd.difference, Estimate):
        difference = model.above_crowd.difference
        side = "above" if difference.value >= 0 else "below"
        parts.append(f"{side} the crowd by {_distance(difference)}")
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}."


def _agreement(question: QuestionAudit, model: ModelAudit) -> str:
    compared = model.non_inferiority.comparison
    if isinstance(compared.agreement, Undefined):
        crowd = next((one for one in model.against if one.kind == "crowd"), None)
        if crowd is None:
            return f"agreement is undefined: {compared.agreement.undefined}"
        return (
            f"agreement with the crowd ({crowd.annotator}) {said(crowd.agreement)} by {name_of(question.coefficient)}"
        )
    agreement = f"agreement with one expert {said(compared.agreement)}"
    if isinstance(compared.reference, Undefined) or isinstance(compared.difference, Undefined):
        return agreement
    side = "below" if compared.difference.value < 0 else "above"
    apart = shown(abs(compared.difference.value))
    return f"{agreement}, {apart} {side} expert-expert {shown(compared.reference.value)}"


def _margin(model: ModelAudit) -> str:
    found = model.non_inferiority
    margin = f"a margin of {shown(found.margin)}"
    non_inferiority = f"non-inferiority at {margin} is"
    match found.verdict:
        case "non-inferior":
            return f"{non_inferiority} shown"
        case "worse":
            return f"worse by more than {margin}"
        case "undefined":
            return f"no verdict: {found.reason}"
        case "inconclusive":
            needed = found.items_needed
            items = f"; about {needed.if_equal} items would decide if it is as good" if needed else ""
            return f"{non_inferiority} not shown{items}"
        case _:
            test = found.these_experts
            return f"by {margin} alone it would be {test.verdict}" if not isinstance(test, Undefined) else ""


def _distance(difference: Estimate) -> str:
    if difference.low is None or difference.high is None or difference.value >= 0:
        return said(difference)
    return shown_interval(-difference.value, -difference.high, -difference.low)


def models_of(audit: Audit) -> list[str]:
    """Give the models' names, in order."""
    return list(dict.fromkeys(model.annotator for question in audit.questions for model in question.models))


def answers_of(audit: Audit, annotator: str) -> list[tuple[QuestionAudit, ModelAudit]]:
    """Give the questions that a model answered."""
    return [
        (question, model) for question in audit.questions for model in question.models if model.annotator == annotator
    ]


def conclusion(audit: Audit, annotator: str) -> str:
    """Say in one sentence what was found of a model."""
    answers = answers_of(audit, annotator)
    verdicts = [model.non_inferiority.verdict for _, model in answers]
    n_experts = max(model.non_inferiority.comparison.n_experts for _, model in answers)
    margin = shown(audit.settings.margin)
    if set(verdicts) == {"undefined"}:
        return f"{annotator}: no verdict, for {answers[0][1].non_inferiority.reason}."
    proven = verdicts.count("non-inferior")
    text = (
        f"{annotator} may stand in for one of these {n_experts} experts in {proven} of {_questions(verdicts)} "
        f"at a margin of {margin}"
    )
    others = {
        "worse": "it is worse in {}",
        "inconclusive": "{} undecided",
        "humans too unreliable": "in {} the experts agree too little to be a standard",
        "undefined": "{} undefined",
    }
    rest = [words.format(verdicts.count(verdict)) for verdict, words in others.items() if verdict in verdicts]
    return f"{'; '.join([text, *rest])}."


def _questions(verdicts: Sequence[str]) -> str:
    return f"{len(verdicts)} question{'s' * (len(verdicts) != 1)}"
