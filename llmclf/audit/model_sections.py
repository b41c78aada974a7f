"""The sections about a model's own answers: calibration, what follows from them, and the worst."""

from llmclf.agreement import Coefficient, Undefined
from llmclf.agreement.corrected import Corrected, Corrections
from llmclf.agreement.probability_quality import ReliabilityBin
from llmclf.agreement.risk_coverage import RiskCoverage as Curve
from llmclf.audit.page import Block, Details, Link, Paragraph, Section, Table, Verbatim, Warnings
from llmclf.audit.plots.reliability import Bin, Reliability, reliability
from llmclf.audit.plots.risk_coverage import RiskCoverage, risk_coverage
from llmclf.audit.report import Audit, Calibration, WorstItem
from llmclf.audit.views import VALUES, answers, columns, figures, held, name_in, number_cells, one_line, reason

_FEW = 100
"""Answers under which a calibration error is mostly noise."""
_MOST_RECORDS = 120
_LONGEST = 4000
"""Characters of a prompt or a reply that are shown: all are on record."""


def calibration(audit: Audit) -> Section:
    """Whether probabilities mean what they say."""
    found = [(name_in(audit, one), one[1].calibration) for one in answers(audit)]
    known = [(name, one) for name, one in found if isinstance(one, Calibration)]
    blocks: list[Block] = []
    if any(one.n_items < _FEW for _, one in known):
        blocks.append(Warnings((f"Under {_FEW} answers a calibration error is mostly noise.",)))
    bins = [(name, Reliability(name, tuple(map(_bin, one.reliability)))) for name, one in known]
    blocks += figures(
        bins, reliability, "Ten bins of equal width of the top label's probability, with 95 % intervals (Wilson)."
    )
    curves = [(name, one.risk_coverage) for name, one in known if isinstance(one.risk_coverage, Curve)]
    highest = held([point.risk for _, curve in curves for point in curve.curve], 0.0)
    blocks += figures(
        [(n, RiskCoverage(n, tuple((p.coverage, p.risk) for p in curve.curve), highest)) for n, curve in curves],
        risk_coverage,
        "The share of wrong answers (not the people's consensus) if only the surest are given.",
    )
    if known:
        rows = [
            (name, what, *number_cells(value), one.reference, ", ".join(one.origins), one.n_items)
            for name, one in known
            for what, value in (
                ("Brier score", one.brier_score),
                ("log loss", one.log_loss),
                (f"calibration error, {one.n_bins} bins", one.expected_calibration_error),
            )
        ]
        heads = columns("Question", "Score", *VALUES, "Against", "Origin", "Items:0")
        blocks.append(Table("Scores of probabilities", heads, tuple(rows)))
    blocks += [Paragraph(f"{name}: {one.undefined}.") for name, one in found if isinstance(one, Undefined)]
    if not blocks:
        blocks.append(Paragraph("The models gave no probabilities of all labels (column probabilities)."))
    return Section("calibration", "Calibration", "Whether probabilities mean what they say.", tuple(blocks))


def _bin(one: ReliabilityBin) -> Bin:
    return Bin(one.low, one.high, one.n_items, one.confidence, one.accuracy, one.accuracy_low, one.accuracy_high)


def conclusions(audit: Audit) -> Section:
    """What a study that used the model's labels would find."""
    shares = [
        (question.question, model.annotator, label, 100 * share)
        for question, model in answers(audit)
        for label, share in model.label_shares.items()
    ]
    heads = columns("Question", "Model", "Label", "Share, %:1")
    blocks: list[Block] = [Table("Shares of labels, as the models have them", heads, tuple(shares))]
    found = [(name_in(audit, one), one[1].corrected) for one in answers(audit)]
    for name, one in found:
        if isinstance(one, Corrected):
            numbers = [*one.prevalence.items(), *([("mean", one.mean)] if one.mean else [])]
            rows = [
                (label, method, *number_cells(value), reason(value))
                for label, corrections in numbers
                for method, value in _methods(corrections)
            ]
            heads = columns("Label", "Method", *VALUES, "Note")
            caption = f"{name}: {one.estimand}; {one.n_expert} of {one.n_items} items have an expert's label"
            blocks.append(Table(caption, heads, tuple(rows)))
        elif isinstance(one, Undefined):
            blocks.append(Paragraph(f"{name}: no corrected estimate: {one.undefined}."))
    if not any(one for _, one in found):
        blocks.append(
            Paragraph(
                "Shares and means from a model's labels alone are biased, and their intervals too short. To correct "
                "them, have experts label a probability sample, and give its column sampling_probability."
            )
        )
    lead = "What a study that used the model's labels would find, and what the experts would have."
    return Section("conclusions", "Effect on conclusions", lead, tuple(blocks))


def _methods(corrections: Corrections) -> list[tuple[str, Coefficient]]:
    by_name = {
        "the model's labels alone": corrections.uncorrected,
        "design-based supervised learning": corrections.design_supervised,
        "prediction-powered inference": corrections.prediction_powered,
        "Rogan-Gladen": corrections.rogan_gladen,
    }
    return [(name, value) for name, value in by_name.items() if value is not None]


def worst_items(audit: Audit) -> Section:
    """The items on which people agree, and not with the model; each with its record."""
    named = [
        (name_in(audit, answer), f"record-{at}-{place}", item)
        for at, answer in enumerate(answers(audit))
        for place, item in enumerate(answer[1].worst_items)
    ]
    per_answer = max(1, _MOST_RECORDS // max(1, len(answers(audit))))
    kept = [one for one in named if int(one[1].rpartition("-")[2]) < per_answer]
    heads = columns("Question", "Item", "Model", "Probability:2", "People", "Text")
    rows = tuple(
        (
            name,
            Link(item.item, target),
            item.label,
            item.probability,
            ", ".join(f"{label} {count}" for label, count in item.people.items()),
            one_line(item.text or ""),
        )
        for name, target, item in kept
    )
    lead = "Items on which more people gave another label than the model's, first those on which they agree most."
    blocks: list[Block] = [Table("Worst items", heads, rows)] if rows else [Paragraph("There are none.")]
    return Section("worst-items", "Worst items", lead, (*blocks, *(_details(*one) for one in kept)))


def _details(name: str, target: str, item: WorstItem) -> Details:
    heads = columns("Person", "Label")
    blocks: list[Block] = [Table("Labels", heads, (("the model", item.label), *item.labels.items()))]
    if item.text:
        blocks.append(Verbatim("Text", item.text[:_LONGEST]))
    if item.rationale:
        blocks.append(Verbatim("The model's reason", item.rationale[:_LONGEST]))
    for record in item.records:
        for role, text in record.prompt:
            blocks.append(Verbatim(f"Prompt, {role} ({record.job}, reply {record.number})", text[:_LONGEST]))
        blocks.append(Verbatim(f"Reply {record.number}", record.reply[:_LONGEST]))
    return Details(target, f"{name}, item {item.item}", tuple(blocks))
