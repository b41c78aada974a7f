"""The sections that hold a model against people."""

from llmclf.agreement import Undefined
from llmclf.agreement.non_inferiority import MarginTest
from llmclf.agreement.survey_equivalence import SurveyEquivalence
from llmclf.annotations import Kind
from llmclf.audit.gate import outcome
from llmclf.audit.page import Block, Figure, Paragraph, Section, Table
from llmclf.audit.plots.crowd_size import CrowdPoint, CrowdSize, crowd_size
from llmclf.audit.plots.difference import Difference, Differences, difference_with_margin
from llmclf.audit.plots.epsilon_curve import EpsilonCurve, epsilon_curve
from llmclf.audit.plots.forest import Forest, Reference, Row, forest
from llmclf.audit.report import AlternativeAnnotator, Audit, ModelAudit, QuestionAudit
from llmclf.audit.views import VALUES, Answer, answers, columns, figures, held, name_in, number_cells, reason
from llmclf.audit.wording import models_of, name_of

_AMONG_PEOPLE = ("percent_agreement", "krippendorff_alpha", "krippendorff_alpha_masi", "gwet_ac1")
_KRIPPENDORFF = (Reference(0.667, "0.667"), Reference(0.8, "0.80"))


def human_ceiling(audit: Audit) -> Section:
    """How far people agree among themselves."""
    rows = [
        (
            question.question,
            f"{group.n_annotators} {group.kind}",
            name_of(name),
            *number_cells(found),
            *number_cells(group.over_items_and_raters.get(name, found))[1:],
            reason(found),
        )
        for question in audit.questions
        for group in question.people
        for name, found in group.coefficients.items()
        if group.n_annotators > 1 and name in _AMONG_PEOPLE
    ]
    heads = columns("Question", "People", "Coefficient", *VALUES, "Low, others:2", "High, others:2", "Note")
    lead = (
        "How far people agree among themselves. Where experts do not, no model can be judged by them. "
        "The first interval is for these annotators, the other for annotators like these."
    )
    return Section("human-ceiling", "Human ceiling", lead, (Table("People among themselves", heads, tuple(rows)),))


def model_and_experts(audit: Audit) -> Section:
    """The model's agreement with each expert, and its difference from theirs."""
    blocks: list[Block] = []
    for model in models_of(audit):
        of_model = [(q, m) for q, m in answers(audit) if m.annotator == model and q.people[0].kind == "expert"]
        if of_model:
            blocks.append(_differences(model, of_model, audit))
    plots = [(question.question, _forest(question)) for question in audit.questions]
    limits = held([value for _, plot in plots for row in plot.rows for value in (row.low, row.high)], 0.0, 1.0)
    blocks += figures(
        [(name, Forest(p.title, p.axis, p.rows, p.references, limits)) for name, p in plots],
        forest,
        "Agreement of two annotators, with 95 % intervals over items. Circle: two experts; diamond: a model and one "
        "person; square: the crowd and an expert. Dashed: 0.667 and 0.80, Krippendorff's convention.",
        two_sizes=True,
    )
    blocks.append(_bounds(audit))
    blocks.append(_each(audit))
    lead = (
        "The model is compared with each expert, and never with their consensus, which agrees better than any of them."
    )
    return Section("model-and-experts", "Model against each expert", lead, tuple(blocks))


def _differences(model: str, of_model: list[Answer], audit: Audit) -> Figure:
    rows = tuple(_difference(question, one) for question, one in of_model)
    kappa = name_of(of_model[0][0].coefficient)
    plot = Differences(
        f"{model}: agreement with experts less that of experts", f"Difference in {kappa}", audit.settings.margin, rows
    )
    caption = (
        "Thin: two-sided 95 % interval. Thick: to the one-sided 95 % bound, which decides. Shaded: below the margin. "
        "Filled circle: non-inferior; cross: worse; open circle: not decided."
    )
    return Figure(difference_with_margin(plot), caption, difference_with_margin(plot, small=True))


def _difference(question: QuestionAudit, model: ModelAudit) -> Difference:
    found = model.non_inferiority
    value, low, high = number_cells(found.comparison.difference)
    bound = found.these_experts.lower if isinstance(found.these_experts, MarginTest) else None
    return Difference(question.question, found.verdict, outcome(model), value, low, high, bound)


def _forest(question: QuestionAudit) -> Forest:
    people = [
        Row(" - ".join(pair.annotators), Kind(pair.kind), *number_cells(pair.agreement)) for pair in question.pairs
    ]
    models = [
        Row(f"{model.annotator} - {one.annotator}", Kind.MODEL, *number_cells(one.agreement))
        for model in question.models
        for one in model.against
    ]
    title = f"{question.question}: agreement"
    return Forest(title, name_of(question.coefficient), (*people, *models), _KRIPPENDORFF)


def _bounds(audit: Audit) -> Table:
    rows = []
    for question, model in answers(audit):
        found = model.non_inferiority
        for target, test in (
            ("these experts", found.these_experts),
            ("experts like these", found.experts_like_these),
        ):
            rows.append(
                (
                    question.question,
                    model.annotator,
                    target,
                    *number_cells(found.comparison.difference)[:1],
                    *_by_the_margin(test),
                    "decides" if target == "these experts" else "",
                )
            )
    heads = columns("Question", "Model", "Target", "Difference:3", "Lower:3", "Upper:3", "By the margin", "Which")
    return Table("One-sided 95 % bounds of the difference", heads, tuple(rows))


def _by_the_margin(test: MarginTest | Undefined) -> tuple[float | None, float | None, str]:
    if isinstance(test, Undefined):
        return None, None, f"undefined: {test.undefined}"
    return test.lower, test.upper, test.verdict


def _each(audit: Audit) -> Table:
    rows = [
        (
            question.question,
            model.annotator,
            f"{one.kind}: {one.annotator}",
            one.n_items,
            number_cells(one.coefficients["percent_agreement"])[0],
            *number_cells(one.agreement),
        )
        for question, model in answers(audit)
        for one in model.against
    ]
    heads = columns("Question", "Model", "Person", "Items:0", "Percent agreement:2", "Coefficient:2", "Low:2", "High:2")
    return Table("The model beside each person; the coefficient is the one drawn above", heads, tuple(rows))


def crowd(audit: Audit) -> Section:
    """Whether the model is better than the crowd, and how many workers it is worth."""
    compared = [(q, m) for q, m in answers(audit) if m.above_crowd]
    blocks: list[Block] = []
    if compared:
        rows = [
            (
                question.question,
                model.annotator,
                *number_cells(found.difference),
                *number_cells(found.agreement)[:1],
                *number_cells(found.reference)[:1],
                reason(found.difference),
            )
            for question, model in compared
            for found in [model.above_crowd]
            if found
        ]
        heads = columns(
            "Question", "Model", "Above the crowd:2", "Low:2", "High:2", "Model-expert:2", "Crowd-expert:2", "Note"
        )
        blocks.append(Table("Agreement with the experts, less the crowd's", heads, tuple(rows)))
    worth = [(name_in(audit, one), one[1], one[1].crowd_worth) for one in answers(audit)]
    known = [(name, model, found) for name, model, found in worth if isinstance(found, SurveyEquivalence)]
    values = [
        value
        for _, _, found in known
        for score in [found.model, *(p.score for p in found.curve)]
        for value in (score.value, score.low, score.high)
    ]
    plots = [(name, _crowd_size(name, model, found, held(values))) for name, model, found in known]
    blocks += figures(
        plots,
        crowd_size,
        "How well surveys of so many workers predict another person's answer, with 95 % intervals, and the model's "
        "level. Where they cross is what the model is worth.",
    )
    if known:
        blocks.append(
            Table(
                "What the model is worth in crowd workers",
                columns("Question", "Workers", "From", "To", "Score", "Predicts", "Items:0"),
                tuple(
                    (
                        name,
                        str(found.workers),
                        str(found.low),
                        str(found.high),
                        found.score,
                        found.answer,
                        found.n_items,
                    )
                    for name, _, found in known
                ),
            )
        )
    blocks += [Paragraph(f"{name}: {found.undefined}.") for name, _, found in worth if isinstance(found, Undefined)]
    lead = "Whether the model agrees with experts better than a crowd does, and how many of its workers it is worth."
    if not blocks:
        blocks.append(Paragraph("No crowd labelled these items."))
    return Section("crowd", "Crowd", lead, tuple(blocks))


def _crowd_size(name: str, model: ModelAudit, found: SurveyEquivalence, limits: tuple[float, ...]) -> CrowdSize:
    points = tuple(
        CrowdPoint(point.survey_size, point.score.value, point.score.low, point.score.high) for point in found.curve
    )
    return CrowdSize(
        f"{name}: crowd workers",
        found.score,
        points,
        model.annotator,
        found.model.value,
        worth=found.workers.number,
        at_least=found.workers.bound == "at least",
        axis_holds=limits,
    )


def alternative_annotator(audit: Audit) -> Section:
    """The alternative annotator test, over all epsilons."""
    found = [(name_in(audit, one), one[1].alternative_annotator) for one in answers(audit)]
    known = [(name, test) for name, test in found if isinstance(test, AlternativeAnnotator)]
    plots = [(name, EpsilonCurve(name, tuple(test.curve))) for name, test in known]
    blocks = figures(
        plots,
        epsilon_curve,
        "Winning rate, the share of people in whose place the model does better, over epsilon, what its lower cost is "
        "worth. Dashed: the threshold of one half.",
    )
    rows = [
        (
            name,
            f"{len(test.annotators)} {test.kind}",
            test.score,
            test.advantage_probability,
            at.epsilon,
            at.winning_rate,
            "passes" if at.passes else "fails",
        )
        for name, test in known
        for at in test.at
    ]
    heads = columns("Question", "People", "Score", "Advantage probability:2", "Epsilon:2", "Winning rate:2", "Test")
    if rows:
        blocks.append(Table("Outcomes at the epsilons that were chosen", heads, tuple(rows)))
    blocks += [
        Paragraph(f"{name}: undefined, {test.undefined}.") for name, test in found if isinstance(test, Undefined)
    ]
    lead = "Whether the model does better in the place of each person. To pass is not to be non-inferior."
    return Section("alt-test", "Alternative annotator test", lead, tuple(blocks))
