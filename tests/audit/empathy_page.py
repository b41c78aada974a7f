"""A whole report as an audit of the 21 questions of the empathy study would fill it; its numbers are made up."""

from collections.abc import Iterator
from random import Random

from evals.empathy_data import FRAMEWORKS
from llmclf.annotations import Kind
from llmclf.audit.numbers import Outcome, shown, shown_interval
from llmclf.audit.page import (
    Block,
    Bullets,
    Column,
    Details,
    Figure,
    Headline,
    Link,
    Page,
    Paragraph,
    Section,
    SmallMultiples,
    Table,
    Verbatim,
    Verdict,
    Warnings,
)
from llmclf.audit.plots.crowd_size import CrowdPoint, CrowdSize, crowd_size
from llmclf.audit.plots.difference import Difference, Differences, difference_with_margin
from llmclf.audit.plots.epsilon_curve import EpsilonCurve, epsilon_curve
from llmclf.audit.plots.forest import Forest, Reference, Row, forest
from llmclf.audit.plots.reliability import Bin, Reliability, reliability
from llmclf.audit.plots.risk_coverage import RiskCoverage, risk_coverage
from llmclf.audit.plots.variance_bars import Component, VarianceBars, variance_bars

QUESTIONS = [name for framework in FRAMEWORKS.values() for name in framework.dimensions]
MODEL = "gemini"
MARGIN = 0.1
KAPPA = "Weighted kappa, quadratic"
KRIPPENDORFF = (Reference(0.667, "0.667"), Reference(0.8, "0.80"))
TEXT = "Seeker: I failed the exam again, and I do not know how to tell my parents.\nSupporter: That sounds so hard."
PROMPT = (
    f"You rate how a supporter answers.\n\n{'A codebook is a page long. ' * 60}\n\n{TEXT}\n\nAnswer with one label."
)


def differences() -> tuple[Difference, ...]:
    random = Random(5)
    return tuple(_difference(name, random) for name in QUESTIONS)


def _difference(name: str, random: Random) -> Difference:
    if name == "m_practical":
        return Difference(name, "undefined", Outcome.INCONCLUSIVE, None)
    value, se = random.gauss(-0.05, 0.08), random.uniform(0.03, 0.09)
    bound = value - 1.68 * se
    verdict, outcome = "inconclusive", Outcome.INCONCLUSIVE
    if name == "fluency":
        verdict = "humans too unreliable"
    elif bound > -MARGIN:
        verdict, outcome = "non-inferior", Outcome.PASS
    elif value + 1.68 * se < -MARGIN:
        verdict, outcome = "worse", Outcome.FAIL
    return Difference(name, verdict, outcome, value, value - 2.01 * se, value + 2.01 * se, bound)


def forest_rows(seed: int) -> tuple[Row, ...]:
    random = Random(seed)
    level = random.uniform(0.3, 0.7)
    experts = ("expert1", "expert2", "expert3")
    pairs = [(f"{a} - {b}", Kind.EXPERT) for i, a in enumerate(experts) for b in experts[i + 1 :]]
    names = [*pairs, *((f"{MODEL} - {expert}", Kind.MODEL) for expert in experts), ("crowd - experts", Kind.CROWD)]
    values = [level + random.gauss(-0.25 if kind is Kind.CROWD else 0, 0.07) for _, kind in names]
    return tuple(
        Row(name, kind, value, value - 0.14, min(value + 0.12, 1))
        for (name, kind), value in zip(names, values, strict=True)
    )


def epsilon_points(seed: int) -> tuple[tuple[float, float], ...]:
    random = Random(seed)
    steps = sorted(random.uniform(0, 0.3) for _ in range(3))
    return tuple((k / 100, sum(step <= k / 100 for step in steps) / 3) for k in range(0, 31))


def crowd(name: str, seed: int) -> CrowdSize:
    random = Random(seed)
    top, model = random.uniform(0.45, 0.7), random.uniform(0.3, 0.75)
    values = [top * (k / (k + 1.2)) for k in range(1, 9)]
    crossing = next((k for k, value in enumerate(values, 1) if value >= model), None)
    return CrowdSize(
        f"{name}: crowd workers",
        "Agreement with an expert",
        tuple(CrowdPoint(k, value, value - 0.2 / k**0.5, value + 0.2 / k**0.5) for k, value in enumerate(values, 1)),
        MODEL,
        model,
        worth=8 if crossing is None else crossing - 0.4,
        at_least=crossing is None,
        axis_holds=(0.0, 1.0),
    )


def components(seed: int) -> tuple[Component, ...]:
    random = Random(seed)
    raw = [random.uniform(2, 6), random.uniform(0, 0.5), 0.0, random.uniform(0.2, 1), random.uniform(0.1, 0.6)]
    names = ["items", "prompts", "runs", "items x prompts", "the rest"]
    return tuple(Component(name, part, part / sum(raw)) for name, part in zip(names, raw, strict=True))


def bins(seed: int) -> tuple[Bin, ...]:
    random = Random(seed)
    counts = [0, 0, 1, 2, 3, 4, 6, 7, 12, 15]
    return tuple(
        Bin(
            k / 10,
            (k + 1) / 10,
            count,
            p := k / 10 + 0.06,
            a := max(0.0, p - random.uniform(0, 0.2)),
            a * 0.7,
            a + (1 - a) * 0.3,
        )
        for k, count in enumerate(counts)
        if count
    )


def risks(seed: int, n: int = 50) -> tuple[tuple[float, float], ...]:
    random = Random(seed)
    wrong = [random.random() < 0.05 + 0.4 * k / n for k in range(n)]
    return tuple((k / n, sum(wrong[:k]) / k) for k in range(1, n + 1))


def page() -> Page:
    rows = differences()
    passed = sum(row.outcome is Outcome.PASS for row in rows)
    headline = Headline(
        MODEL,
        f"{MODEL} may stand in for one of these three experts in {passed} of 21 questions at a margin of "
        f"{shown(MARGIN)}; for the others it is worse, or 50 conversations do not show it.",
        tuple(Verdict(row.name, row.outcome, row.verdict, sentence(row)) for row in rows),
        gate(rows),
    )
    return Page(
        title=f"May {MODEL} stand in for experts? Empathy in 200 conversations",
        lead="Reliability audit of 21 questions, three experts, a crowd and one model.",
        facts=(
            ("Items", "200 conversations, 50 a framework"),
            ("People", "3 experts, 116 crowd workers"),
            ("Model", "gemini-1.5-pro-002 (fingerprint fp_9f31c2)"),
            ("Codebook", "empathy 1.2, sha256 3fa9c0de71b2"),
            ("Made", "2025-11-25 with llmclf 0.1.0"),
        ),
        headlines=(headline,),
        warnings=(
            "The items are from a public data set: the model may have seen them in training.",
            "With 50 items and a label that 90 % share, a nominal 95 % interval covers about 85 %.",
        ),
        sections=tuple(sections(rows)),
    )


def sentence(row: Difference) -> str:
    if row.value is None or row.bound is None:
        return "Only one label occurs among the experts, so agreement is undefined."
    below = f"{shown(abs(row.value))} {'below' if row.value < 0 else 'above'} expert-expert 0.65"
    shows = "is shown" if row.outcome is Outcome.PASS else "is not shown; about 169 items would decide"
    agreement = shown_interval(0.65 + row.value, 0.5 + row.value, 0.75 + row.value)
    margin = f"a margin of {shown(MARGIN)} {shows}"
    return f"Agreement with one expert {agreement}, {below}; {margin}. Above the crowd by 0.27 [0.10, 0.46]."


def gate(rows: tuple[Difference, ...]) -> Table:
    return Table(
        "Gate: the one-sided 95 % bound of the difference against minus the margin",
        (
            Column("Question"),
            Column("Gate"),
            Column("Verdict"),
            Column("Difference", 2),
            Column("Bound", 2),
            Column("Margin", 2),
            Column("Items needed", 0),
        ),
        tuple(
            (
                row.name,
                row.outcome,
                row.verdict,
                row.value,
                row.bound,
                MARGIN,
                None if row.outcome is Outcome.PASS else 169,
            )
            for row in rows
        ),
    )


def sections(rows: tuple[Difference, ...]) -> Iterator[Section]:
    yield Section("design", "Design", "Who rated what, on which scale.", tuple(design()))
    yield Section(
        "human-ceiling",
        "Human ceiling",
        "How far the experts agree among themselves; below the ceiling no model can be judged.",
        (coefficients(),),
    )
    yield Section(
        "model-and-experts",
        "Model against each expert",
        "The model is compared with each expert, and never with their consensus.",
        (
            both(
                Differences(
                    "Model-expert minus expert-expert agreement", f"Difference in {KAPPA.lower()}", MARGIN, rows
                ),
                "Thin: two-sided 95 % interval. Thick: to the one-sided 95 % bound, which decides. "
                "Shaded: below the margin. Filled circle: non-inferior; cross: worse; open circle: not decided.",
            ),
            Figure(
                forest(Forest("empathy: agreement", KAPPA, forest_rows(3), KRIPPENDORFF)),
                "One question: each pair of experts, and the model with each of them.",
                forest(Forest("empathy: agreement", KAPPA, forest_rows(3), KRIPPENDORFF), small=True),
            ),
            many(
                [
                    forest(Forest(name, KAPPA, forest_rows(k), KRIPPENDORFF, (0.0, 1.0)), small=True)
                    for k, name in enumerate(QUESTIONS)
                ],
                f"{KAPPA}, 95 % intervals. Circle: two experts; diamond: model and expert; square: crowd and expert. "
                "Dashed: 0.667 and 0.80, Krippendorff's convention.",
            ),
            pair_table(),
        ),
    )
    yield Section(
        "crowd",
        "Crowd",
        "How many crowd workers the model is worth.",
        (
            Figure(crowd_size(crowd("empathy", 2)), "Band: 95 % interval. The model's level crosses at its worth."),
            many([crowd_size(crowd(name, k), small=True) for k, name in enumerate(QUESTIONS)], "Agreement by workers."),
        ),
    )
    yield Section(
        "classes",
        "Per class and confusion",
        "Which labels the model and the experts confuse.",
        tuple(Details(f"confusion-{name}", name, (confusion(name),)) for name in QUESTIONS),
    )
    yield Section(
        "alt-test",
        "Alternative annotator test",
        "Passing it is not non-inferiority: it grants the model a cost advantage of epsilon.",
        (
            Figure(epsilon_curve(EpsilonCurve("empathy", epsilon_points(3))), "Winning rate over epsilon."),
            many(
                [epsilon_curve(EpsilonCurve(name, epsilon_points(k)), small=True) for k, name in enumerate(QUESTIONS)],
                "Winning rate over epsilon, 0 to 0.3; dashed: the threshold.",
            ),
        ),
    )
    yield Section(
        "stability",
        "Stability",
        "Whether the model says the same again.",
        (
            both_bars(),
            many(
                [variance_bars(VarianceBars(name, components(k)), small=True) for k, name in enumerate(QUESTIONS)],
                "Share of variance, in percent.",
            ),
        ),
    )
    yield Section(
        "calibration",
        "Calibration",
        "Whether the model's probabilities mean what they say.",
        (
            Warnings(("Under 100 answers a calibration error is mostly noise.",)),
            Figure(
                reliability(Reliability("empathy", bins(1))), "Ten bins of equal width, with 95 % intervals (Wilson)."
            ),
            Figure(risk_coverage(RiskCoverage("empathy", risks(1, 1000))), "Wrong: not what most experts said."),
            many(
                [reliability(Reliability(name, bins(k)), small=True) for k, name in enumerate(QUESTIONS)],
                "Reliability.",
            ),
            many(
                [risk_coverage(RiskCoverage(name, risks(k), (0.6,)), small=True) for k, name in enumerate(QUESTIONS)],
                "Risk.",
            ),
        ),
    )
    yield Section(
        "conclusions",
        "Effect on conclusions",
        "What a study that used the model's labels would find.",
        (prevalence(),),
    )
    yield Section(
        "worst-items",
        "Worst items",
        "Items on which the experts agree among themselves, and not with the model.",
        (worst(), *records()),
    )
    yield Section(
        "methods",
        "Methods and limits",
        "A paragraph to paste, and what this audit cannot say.",
        (
            Paragraph(
                "Agreement is quadratic weighted kappa on the declared scale. Differences are paired over items "
                "(delete-one jackknife, t with n - 1 degrees of freedom). Experts are fixed."
            ),
            Bullets(("The verdict is about these experts.", "Association is not agreement.")),
        ),
    )


def both(plot: Differences, caption: str) -> Figure:
    return Figure(difference_with_margin(plot), caption, difference_with_margin(plot, small=True))


def both_bars() -> Figure:
    plot = VarianceBars("empathy: where the variance comes from", components(4))
    return Figure(variance_bars(plot), "Items are what should vary.", variance_bars(plot, small=True))


def many(plots: list[str], caption: str) -> SmallMultiples:
    return SmallMultiples(tuple(Figure(svg, name) for svg, name in zip(plots, QUESTIONS, strict=True)), caption)


def design() -> Iterator[Block]:
    columns = (Column("Question"), Column("Level"), Column("Labels", 0), Column("Items", 0), Column("Missing, %", 1))
    yield Table("Questions", columns, tuple((name, "ordinal", 5, 50, k / 7) for k, name in enumerate(QUESTIONS)))


def coefficients() -> Table:
    columns = (Column("Question"), Column("Coefficient"), Column("Value", 2), Column("Low", 2), Column("High", 2))
    random = Random(8)
    rows = [
        (name, what, value := random.uniform(-0.002, 0.8), value - 0.1, value + 0.1)
        for name in QUESTIONS
        for what in ("Krippendorff's alpha", "Conger's kappa", "Gwet's AC2")
    ]
    return Table("Experts among themselves, 95 % intervals over items", columns, tuple(rows))


def pair_table() -> Table:
    columns = (
        Column("Question"),
        Column("Pair"),
        Column("Kind"),
        Column("Kappa", 2),
        Column("Low", 2),
        Column("High", 2),
    )
    rows = [
        (name, row.name, str(row.kind), row.value, row.low, row.high)
        for k, name in enumerate(QUESTIONS)
        for row in forest_rows(k)
    ]
    return Table(f"{KAPPA}, 95 % intervals over items", columns, tuple(rows))


def confusion(name: str) -> Table:
    random = Random(name)
    columns = (Column("Experts said"), *(Column(f"model: {label}", 0) for label in range(1, 6)))
    return Table(
        f"{name}: items", columns, tuple((str(a), *(random.randrange(12) for _ in range(5))) for a in range(1, 6))
    )


def prevalence() -> Table:
    columns = (Column("Question"), Column("Estimate"), Column("Mean", 2), Column("Low", 2), Column("High", 2))
    rows = [(n, how, 3.1, 2.9, 3.3) for n in QUESTIONS for how in ("experts", "model alone", "PPI++")]
    return Table("Mean rating", columns, tuple(rows))


def worst() -> Table:
    columns = (
        Column("Item"),
        Column("Question"),
        Column("Model", 0),
        Column("Experts"),
        Column("Text"),
        Column("Record"),
    )
    rows = [
        (f"conversation {k}", name, 1, "5, 5, 4", TEXT[:70] + "…", Link("prompt and reply", f"record-{name}-{k}"))
        for name in QUESTIONS
        for k in range(5)
    ]
    return Table("Worst items", columns, tuple(rows))


def records() -> Iterator[Details]:
    columns = (Column("Who"), Column("Kind"), Column("Label"))
    labels = Table(
        "Labels", columns, tuple((who, "expert", label) for who, label in (("expert1", "5"), ("expert2", "4")))
    )
    for name in QUESTIONS:
        for k in range(5):
            blocks = (labels, Verbatim("Prompt", PROMPT), Verbatim("Raw reply", '{"label": "1", "reason": "curt"}'))
            yield Details(f"record-{name}-{k}", f"conversation {k}, {name}", blocks)
