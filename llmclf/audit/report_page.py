"""The audit as a page: the verdicts, then eleven sections."""

from collections.abc import Iterator, Sequence

from llmclf.agreement import Undefined
from llmclf.audit.fitted_on import kept, left_out
from llmclf.audit.gate import outcome
from llmclf.audit.label_sections import classes
from llmclf.audit.model_sections import calibration, conclusions, worst_items
from llmclf.audit.numbers import shown
from llmclf.audit.page import Block, Bullets, Headline, Page, Paragraph, Section, Table, Verdict
from llmclf.audit.people_sections import alternative_annotator, crowd, human_ceiling, model_and_experts
from llmclf.audit.report import Audit, Plan, QuestionAudit
from llmclf.audit.stability_section import stability
from llmclf.audit.views import columns, number_cells, one_line
from llmclf.audit.wording import answers_of, conclusion, models_of, name_of, sentence

_HASH = 16
"""Characters of a hash that are shown; the document has them all."""


def report_page(audit: Audit) -> Page:
    """Lay out a whole report."""
    models, settings = models_of(audit), audit.settings
    n_items = sum(question.n_items for question in audit.questions)
    people = {group.kind: group.n_annotators for question in audit.questions for group in question.people}
    facts = [
        ("Questions", str(len(audit.questions))),
        ("Items", f"{n_items} answers asked for, over all questions"),
        ("People", ", ".join(f"{count} {kind}" for kind, count in people.items())),
        ("Models", ", ".join(models)),
        ("Codebook", f"{audit.codebook}, hash {audit.codebook_hash[:12]}"),
        ("Margin", f"{shown(settings.margin)}, where the experts' agreement is above {shown(settings.ceiling)}"),
        ("Made with", f"llmclf {audit.llmclf}"),
    ]
    return Page(
        title=f"{audit.codebook}: may {' or '.join(models)} stand in for experts?",
        lead=f"A reliability audit of {len(audit.questions)} question{'s' * (len(audit.questions) != 1)}.",
        facts=tuple(facts),
        headlines=tuple(_headline(audit, model) for model in models),
        warnings=(*audit.warnings, *(warning for question in audit.questions for warning in question.warnings)),
        sections=(
            _design(audit),
            human_ceiling(audit),
            model_and_experts(audit),
            crowd(audit),
            classes(audit),
            alternative_annotator(audit),
            stability(audit),
            calibration(audit),
            conclusions(audit),
            worst_items(audit),
            _methods(audit),
        ),
    )


def methods_paragraph(audit: Audit) -> str:
    """Write what a paper says of how it was done."""
    settings = audit.settings
    coefficients = " or ".join(dict.fromkeys(name_of(question.coefficient) for question in audit.questions))
    return (
        f"Agreement of two annotators is {coefficients} on the declared scale. A model is compared with each expert, "
        "never with their consensus: its mean agreement with the experts, less the mean agreement of the pairs of "
        "experts, is tested against a margin that was set beforehand "
        f"({shown(settings.margin)}) by a one-sided 95 % t bound from a delete-one jackknife over items (n - 1 degrees "
        "of freedom), with the experts fixed; no verdict is given where the lower bound of the experts' own agreement "
        f"is not above {shown(settings.ceiling)}. Beside it stands the bound for experts like these, from jackknives "
        "over items and over experts (r - 1 degrees of freedom). Intervals are two-sided at 95 %. Verdicts on several "
        "questions are also given with Holm's adjustment. The alternative annotator test follows Calderon et al. "
        "(2025), the worth in crowd workers Resnick et al. (2021). "
        f"Computed with llmclf {audit.llmclf}; codebook {audit.codebook}, hash {audit.codebook_hash[:12]}."
    )


def _headline(audit: Audit, annotator: str) -> Headline:
    answers = answers_of(audit, annotator)
    verdicts = tuple(
        Verdict(question.question, outcome(model), model.non_inferiority.verdict, sentence(question, model))
        for question, model in answers
    )
    rows = []
    for question, model in answers:
        found, test = model.non_inferiority, model.non_inferiority.these_experts
        needed = found.items_needed.if_equal if found.items_needed else None
        rows.append(
            (
                question.question,
                outcome(model),
                found.verdict,
                *number_cells(found.comparison.difference)[:1],
                None if isinstance(test, Undefined) else test.lower,
                found.margin,
                model.holm.p_non_inferior,
                needed,
            )
        )
    heads = columns("Question", "Gate", "Verdict", "Difference:3", "Bound:3", "Margin:2", "p, Holm:3", "Items needed:0")
    return Headline(
        annotator,
        conclusion(audit, annotator),
        verdicts,
        Table("Gate: the one-sided 95 % bound of the difference against minus the margin", heads, tuple(rows)),
    )


def _design(audit: Audit) -> Section:
    groups = [(question, group) for question in audit.questions for group in question.people]
    blocks = (
        Table(
            "Questions",
            columns("Question", "What was asked", "Kind", "Scale", "Items:0"),
            tuple(
                (one.question, one_line(one.ask), one.kind, ", ".join(one.scale), one.n_items)
                for one in audit.questions
            ),
        ),
        Table(
            "People",
            columns("Question", "Kind", "Annotators:0", "Items:0", "Ratings:0", "Missing %:0"),
            tuple(
                (
                    question.question,
                    group.kind,
                    group.n_annotators,
                    group.n_items,
                    group.n_ratings,
                    100 * (1 - group.n_ratings / max(1, group.n_annotators * question.n_items)),
                )
                for question, group in groups
            ),
        ),
        Table(
            "Models' answers",
            columns("Question", "Model", "Status", "Answers:0"),
            tuple(
                (question.question, model.annotator, status, count)
                for question in audit.questions
                for model in question.models
                for status, count in model.statuses.items()
            ),
        ),
        Table(
            "Files",
            columns("File", "SHA-256", "Annotations:0"),
            tuple((source.name, source.sha256[:_HASH], source.n_annotations) for source in audit.sources),
        ),
        *(Paragraph(f"{question.question}: {said}.") for question, said in _about_examples(audit)),
        *_asked(audit.plans),
    )
    return Section("design", "Design", "Who labelled what, on which scale, and how the models were asked.", blocks)


def _about_examples(audit: Audit) -> list[tuple[QuestionAudit, str]]:
    found = ((question, model) for question in audit.questions for model in question.models)
    return [
        (question, said)
        for question, model in found
        for said in (left_out(model.annotator, model.fitted_on), kept(model.annotator, model.fitted_on))
        if said
    ]


def _asked(plans: Sequence[Plan]) -> Iterator[Block]:
    if not plans:
        yield Paragraph("How the models were asked is not known: give their jobs in place of tables.")
        return
    yield Table(
        "How the models were asked",
        columns("Job", "Plan:0", "Model", "Part", "Value"),
        tuple((plan.job, plan.number, plan.annotator, part, value) for plan in plans for part, value in _parts(plan)),
    )


def _parts(plan: Plan) -> Iterator[tuple[str, str]]:
    for name, value in {**plan.model, **plan.settings}.items():
        yield name, str(value)[:_HASH] if name == "sha256" else one_line(str(value))
    for name, digest in plan.prompts.items():
        yield f"prompt {name}", digest[:_HASH]
    yield "order of the prompt", plan.order
    yield "samples", str(plan.samples)
    yield "policy", plan.policy
    yield "ways of asking", ", ".join(plan.ways)
    for name, version in plan.versions.items():
        yield f"version of {name}", version
    for one in plan.served:
        yield "served by", str(one)


def _methods(audit: Audit) -> Section:
    limits = [
        "A verdict is about these experts. What other experts would show is the second bound.",
        "To pass the alternative annotator test is not to be non-inferior.",
        "Association (rank correlation) is not agreement.",
        "0.667 and 0.80, where they are drawn, are Krippendorff's convention, and no law.",
    ]
    blocks = (Paragraph(methods_paragraph(audit)), Bullets(tuple(limits)))
    return Section("methods", "Methods and limits", "A paragraph to paste, and what this audit cannot say.", blocks)
