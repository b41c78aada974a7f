from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from llmclf.annotations import Kind
from llmclf.audit.numbers import Outcome, shown, shown_interval
from llmclf.audit.plots.axes import Scale
from llmclf.audit.plots.crowd_size import CrowdPoint, CrowdSize, crowd_size
from llmclf.audit.plots.difference import Difference, Differences, difference_with_margin
from llmclf.audit.plots.epsilon_curve import EpsilonCurve, epsilon_curve
from llmclf.audit.plots.forest import Forest, Reference, Row, forest
from llmclf.audit.plots.reliability import Bin, Reliability, reliability
from llmclf.audit.plots.risk_coverage import RiskCoverage, risk_coverage
from llmclf.audit.plots.variance_bars import Component, VarianceBars, variance_bars

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert('1')</script>\x00\"&\ud800"

FOREST = Forest(
    "Empathy",
    "Weighted kappa",
    (
        Row("expert1 and expert2", Kind.EXPERT, 0.651, 0.52, 0.75),
        Row("gemini and expert1", Kind.MODEL, -0.0004, -0.2, 0.2),
        Row("crowd and expert1", Kind.CROWD, None),
    ),
    (Reference(0.667, "0.667"),),
)
DIFFERENCES = Differences(
    "Model minus people",
    "Difference in kappa",
    0.1,
    (
        Difference("empathy", "non-inferior", Outcome.PASS, 0.02, -0.09, 0.13, -0.07),
        Difference("fluency", "worse", Outcome.FAIL, -0.3, -0.4, -0.2, -0.38),
        Difference("m_seen", "undefined", Outcome.INCONCLUSIVE, None),
    ),
)
EPSILON = EpsilonCurve("Empathy", ((0.0, 0.0), (0.1, 1 / 3), (0.15, 2 / 3), (0.2, 2 / 3)))
CROWD = CrowdSize(
    "Empathy",
    "Agreement with an expert",
    tuple(CrowdPoint(k, 0.5 - 0.3 / k, 0.4 - 0.3 / k, 0.6 - 0.3 / k) for k in range(1, 6)),
    "gemini",
    0.38,
    worth=2.46,
)
BARS = VarianceBars(
    "Empathy", (Component("items", 1.2, 0.8), Component("prompts", 0.0, 0.0), Component("rest", 0.3, 0.2))
)
RELIABILITY = Reliability("Empathy", (Bin(0.5, 0.6, 3, 0.55, 0.667, 0.2, 0.9), Bin(0.9, 1.0, 47, 0.97, 0.851)))
RISK = RiskCoverage("Empathy", tuple((k / 40, k / 200) for k in range(1, 41)))

PLOTS: dict[str, Callable[[bool], str]] = {
    "forest": lambda small: forest(FOREST, small=small),
    "difference": lambda small: difference_with_margin(DIFFERENCES, small=small),
    "epsilon": lambda small: epsilon_curve(EPSILON, small=small),
    "crowd": lambda small: crowd_size(CROWD, small=small),
    "variance": lambda small: variance_bars(BARS, small=small),
    "reliability": lambda small: reliability(RELIABILITY, small=small),
    "risk": lambda small: risk_coverage(RISK, small=small),
}
SAID = {
    "forest": "Weighted kappa: expert1 and expert2 (expert) 0.65 (0.52 to 0.75); gemini and expert1 (model) "
    "0.00 (-0.20 to 0.20); crowd and expert1 (crowd) undefined. Reference lines at 0.667.",
    "difference": "Difference in kappa, beside a margin of 0.10: empathy 0.02 (-0.09 to 0.13), one-sided bound -0.07, "
    "non-inferior; fluency -0.30 (-0.40 to -0.20), one-sided bound -0.38, worse; m_seen undefined.",
    "epsilon": "Winning rate 0.00 from epsilon 0.00, 0.33 from epsilon 0.10, 0.67 from epsilon 0.15; "
    "with the threshold at 0.50 the model first passes at epsilon 0.15.",
    "crowd": "Agreement with an expert of the crowd: 0.20 (0.10 to 0.30) with 1, 0.35 (0.25 to 0.45) with 2, "
    "0.40 (0.30 to 0.50) with 3, 0.42 (0.33 to 0.53) with 4, 0.44 (0.34 to 0.54) with 5. "
    "gemini reaches 0.38, worth 2.5 workers.",
    "variance": "Share of variance: items 80 % (variance 1.200); "
    "prompts 0 % (variance 0.000); rest 20 % (variance 0.300).",
    "reliability": "Share right: 0.67 (0.20 to 0.90) of 3 answers with mean probability 0.55; "
    "0.85 of 47 answers with mean probability 0.97.",
    "risk": "Share wrong: 0.05 of the surest 25 %, 0.10 of the surest 50 %, 0.15 of the surest 75 %, "
    "0.20 of the surest 100 %.",
}


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_says_its_numbers_in_words(name: str, small: bool) -> None:
    root = ElementTree.fromstring(PLOTS[name](small))
    assert root.get("role") == "img"
    title, words = (
        {each.get("id"): each.text for each in root.iter()}[i] for i in (root.get("aria-labelledby") or "").split()
    )
    assert title
    assert words == SAID[name]


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", PLOTS)
def test_all_that_is_drawn_lies_within_the_picture(name: str, small: bool) -> None:
    root = ElementTree.fromstring(PLOTS[name](small))
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    for each in root.iter():
        for keys, most in ((("x", "x1", "x2", "cx"), width), (("y", "y1", "y2", "cy"), height)):
            assert all(0 <= float(each.get(key, 0)) <= most for key in keys), ElementTree.tostring(each)


def test_hostile_names_stay_text() -> None:
    row = Row(HOSTILE, Kind.EXPERT, 0.5, 0.4, 0.6)
    drawn = forest(Forest(HOSTILE, HOSTILE, (row,), (Reference(0.8, HOSTILE),)))
    assert "<script" not in drawn
    assert "\x00" not in drawn
    assert "</title><script>alert('1')</script>\ufffd\"&\ufffd" in texts(drawn)


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert shown(-0.004) == "0.00"
    assert shown(-0.4, 0) == "0"
    assert shown(-0.006) == "-0.01"
    assert shown_interval(-0.001, -0.2, 0.0) == "0.00 [-0.20, 0.00]"


def test_a_forest_of_one_kind_needs_no_legend() -> None:
    assert "model" in texts(forest(FOREST))
    assert "model" not in texts(forest(replace(FOREST, rows=FOREST.rows[1:2])))


def test_every_kind_and_outcome_has_a_marker_of_its_own() -> None:
    marks = [
        {
            (each.tag, str(each.get("class")).split()[-1])
            for each in ElementTree.fromstring(svg).iter()
            if "mark" in each.get("class", "")
        }
        for svg in (
            forest(replace(FOREST, rows=(*FOREST.rows[:2], Row("crowd", Kind.CROWD, 0.4)))),
            difference_with_margin(DIFFERENCES),
        )
    ]
    assert marks[0] == {(f"{SVG}circle", "expert"), (f"{SVG}polygon", "model"), (f"{SVG}rect", "crowd")}
    assert marks[1] == {(f"{SVG}circle", "pass"), (f"{SVG}path", "fail")}


def test_a_bound_at_the_margin_is_drawn_on_the_margin() -> None:
    row = Difference("m_seen", "inconclusive", Outcome.INCONCLUSIVE, 0.0, -0.12, 0.12, -0.1)
    root = ElementTree.fromstring(difference_with_margin(replace(DIFFERENCES, rows=(row,))))
    starts = {each.get("class"): each.get("x1") for each in root.iter(f"{SVG}line")}
    shaded = next(each for each in root.iter(f"{SVG}rect"))
    assert starts["bound"] == starts["margin"]
    assert float(shaded.get("x", 0)) + float(shaded.get("width", 0)) == pytest.approx(
        float(starts["margin"] or 0), abs=0.11
    )
    assert float(starts["zero"] or 0) > float(starts["margin"] or 0)


def test_names_too_long_are_cut_and_said_in_full() -> None:
    name = "a_very_long_name_of_a_question_that_nobody_would_want_to_read"
    drawn = forest(Forest("t", "kappa", (Row(name, Kind.MODEL, 0.5, 0.4, 0.6),)), small=True)
    assert name not in texts(drawn)
    assert any(each.endswith("…") and name.startswith(each[:-1]) for each in texts(drawn))
    assert f"{name} (model)" in drawn


def test_short_names_are_whole() -> None:
    assert {row.name for row in FOREST.rows} <= set(texts(forest(FOREST)))


def test_a_model_above_every_crowd_is_worth_at_least_as_many() -> None:
    best = replace(CROWD, model_value=0.9, worth=5, at_least=True)
    assert "gemini: worth at least 5" in texts(crowd_size(best))
    assert "worth less than 1" in texts(crowd_size(replace(CROWD, model_value=0.1, worth=0.4), small=True))


def test_a_model_that_never_wins_never_passes() -> None:
    assert "the model never passes" in epsilon_curve(EpsilonCurve("t", ((0.1, 0.0), (0.2, 0.0))))


def test_a_curve_of_many_points_stays_small() -> None:
    n = 100_000
    assert len(risk_coverage(RiskCoverage("t", tuple((k / n, 0.3 * k / n) for k in range(1, n + 1))))) < 10_000


def test_plots_that_must_hold_the_same_values_share_an_axis() -> None:
    ends = (0.0, 1.0)
    ticks = [texts(forest(replace(FOREST, rows=(row,), axis_holds=ends)))[-7:-1] for row in FOREST.rows[:1] * 2]
    assert ticks[0] == ticks[1]
    assert "1.0" in ticks[0]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.3, 0.9], ["0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([-0.26, 0.11], ["-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2"]),
        ([0.5, 0.5], ["0.4", "0.6"]),
        ([0, 7], ["0", "2", "4", "6", "8"]),
        ([0.001, 0.004], ["0.001", "0.002", "0.003", "0.004"]),
    ],
)
def test_ticks_are_round(values: list[float], ticks: list[str]) -> None:
    assert [number for _, number in Scale.over(values, 0, 100).ticks] == ticks


def test_a_tick_shows_as_many_decimals_as_its_step_has() -> None:
    assert [number for _, number in Scale(0, 1, 0.25, 0, 100).ticks] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
