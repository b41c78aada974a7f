import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Undefined
from llmclf.agreement.counts import Floats
from llmclf.agreement.variance_components import (
    Facet,
    Method,
    VarianceComponents,
    variance_components,
    variance_components_of_labels,
)
from llmclf.errors import InputError
from tests.agreement.crowds import reference

REFERENCE = reference("items_prompts_runs")
ANSWERS = np.array(REFERENCE["values"])


def found(components: VarianceComponents | Undefined) -> VarianceComponents:
    assert isinstance(components, VarianceComponents), components
    return components


def by_name(components: VarianceComponents | Undefined) -> dict[str, float]:
    return {one.name: one.variance.value for one in found(components).components}


def made(n: int, prompts: int, runs: int, deviations: tuple[float, float, float, float], seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    item, prompt, both, rest = deviations
    answers: Floats = (
        item * random.normal(size=(n, 1, 1))
        + prompt * random.normal(size=(1, prompts, 1))
        + both * random.normal(size=(n, prompts, 1))
        + rest * random.normal(size=(n, prompts, runs))
    )
    return answers


def reml_by_search(components: VarianceComponents, shape: tuple[int, int, int]) -> float:
    """The least restricted -2 log-likelihood (less a constant) that an optimiser finds over components >= 0."""
    n, prompts, runs = shape
    squares = np.array([one.mean_square for one in components.components])
    df = np.array([one.degrees_of_freedom for one in components.components])
    design = np.array([[prompts * runs, 0, runs, 1], [0, n * runs, runs, 1], [0, 0, runs, 1], [0, 0, 0, 1]])

    def criterion(variances: Floats) -> float:
        theta = design @ variances
        return float((df * (np.log(theta) + squares / theta)).sum())

    bounds = [(0, None)] * 3 + [(1e-9, None)]
    searched = min(minimize(criterion, np.full(4, start), bounds=bounds).fun for start in (0.1, 1.0, 3.0))
    own = criterion(np.array([one.variance.value for one in components.components]))
    return float(own - searched)


def test_mean_squares_are_those_of_lm() -> None:
    components = found(variance_components(ANSWERS)).components
    assert {one.name: one.mean_square for one in components} == pytest.approx(REFERENCE["mean_squares"], abs=1e-9)
    assert {one.name: one.degrees_of_freedom for one in components} == REFERENCE["degrees_of_freedom"]


def test_anova_sets_what_is_negative_to_0() -> None:
    squares = REFERENCE["mean_squares"]
    assert squares["prompt"] < squares["item:prompt"], "the case is on the boundary"
    assert by_name(variance_components(ANSWERS)) == pytest.approx(
        {
            "item": (squares["item"] - squares["item:prompt"]) / 12,
            "prompt": 0,
            "item:prompt": (squares["item:prompt"] - squares["residual"]) / 3,
            "residual": squares["residual"],
        },
        abs=1e-9,
    )


def test_reml_is_that_of_lme4() -> None:
    """lme4 stops where its optimiser does, about 1e-5 away."""
    components = found(variance_components(ANSWERS, "reml"))
    assert by_name(components) == pytest.approx(REFERENCE["reml"], abs=1e-5)
    assert components.method == "reml"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("deviations", [(1, 0.3, 0.5, 0.4), (0, 0, 0, 1), (0.2, 0, 0, 1), (0, 0.5, 0.1, 1)])
def test_reml_is_the_greatest_likelihood(seed: int, deviations: tuple[float, float, float, float]) -> None:
    components = found(variance_components(made(8, 3, 2, deviations, seed), "reml"))
    assert reml_by_search(components, (8, 3, 2)) < 1e-5


def test_known_components_are_found() -> None:
    answers = made(400, 60, 3, (1, 0.5, 0.7, 0.4))
    components = found(variance_components(answers))
    assert by_name(components) == pytest.approx(
        {"item": 1, "prompt": 0.25, "item:prompt": 0.49, "residual": 0.16}, rel=0.3
    )
    assert sum(one.share for one in components.components) == pytest.approx(1)
    assert by_name(variance_components(answers, "reml")) == pytest.approx(by_name(components)), "none is negative"


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(4, 6), st.integers(2, 3), st.integers(1, 3)).flatmap(
        lambda shape: arrays(np.int8, shape, elements=st.integers(0, 3))
    ),
    st.sampled_from(["anova", "reml"]),
)
def test_intervals_leave_out_one_item_after_the_other(codes: np.ndarray, method: Method) -> None:
    answers = codes.astype(np.float64)
    components = variance_components(answers, method)
    if isinstance(components, Undefined):
        assert len(np.unique(codes)) == 1
        return
    without = [variance_components(np.delete(answers, i, axis=0), method) for i in range(len(answers))]
    for one in components.components:
        values = np.array([0.0 if isinstance(left, Undefined) else by_name(left)[one.name] for left in without])
        n = len(values)
        assert one.variance.value >= 0
        if one.variance.se is not None:
            expected = np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum())
            assert one.variance.se == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("facet", ["prompt", "run"])
def test_two_way_designs_leave_the_interaction_in_the_residual(facet: Facet) -> None:
    answers = ANSWERS[:, :, 0]
    components = by_name(variance_components(answers, facet=facet))
    residual = answers - answers.mean(axis=1, keepdims=True) - answers.mean(axis=0) + answers.mean()
    mean_square = (residual**2).sum() / (59 * 3)
    assert components == pytest.approx(
        {
            "item": answers.mean(axis=1).var(ddof=1) - mean_square / 4,
            facet: max(answers.mean(axis=0).var(ddof=1) - mean_square / 60, 0),
            "residual": mean_square,
        }
    )


def test_one_run_of_each_prompt_is_a_two_way_design() -> None:
    assert by_name(variance_components(ANSWERS[:, :, :1])) == by_name(variance_components(ANSWERS[:, :, 0]))


def test_of_two_labels_components_are_twice_those_of_either() -> None:
    codes = np.greater(ANSWERS, np.median(ANSWERS)).astype(np.int8)
    of_labels = by_name(variance_components_of_labels(codes))
    of_one = by_name(variance_components(codes.astype(np.float64)))
    assert of_labels == pytest.approx({name: 2 * value for name, value in of_one.items()})


def test_names_of_labels_do_not_matter() -> None:
    codes = np.random.default_rng(0).integers(0, 3, (20, 4, 2))
    renamed = np.array([7, 0, 3])[codes]
    assert by_name(variance_components_of_labels(codes)) == pytest.approx(
        by_name(variance_components_of_labels(renamed))
    )


def test_a_model_that_never_varies_has_no_variance_but_that_of_items() -> None:
    answers = np.repeat(np.array([1.0, 2, 4, 3])[:, np.newaxis, np.newaxis], 6, axis=1).reshape(4, 3, 2)
    for components in (found(variance_components(answers)), found(variance_components(answers, "reml"))):
        assert [one.share for one in components.components] == [1, 0, 0, 0]
        assert components.components[1].variance.se is None


def test_items_with_a_missing_answer_are_left_out_and_counted() -> None:
    answers = np.vstack([ANSWERS, ANSWERS[:2]])
    answers[60, 1, 2] = answers[61, 0, 0] = np.nan
    components = found(variance_components(answers))
    assert (components.n_items, components.n_left_out) == (60, 2)
    assert by_name(components) == by_name(variance_components(ANSWERS))
    codes = np.array([[0, 1], [1, 1], [0, 0], [-1, 0]])
    assert found(variance_components_of_labels(codes)).n_left_out == 1


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([[1, 2], [np.nan, 2]], "1 item without a missing answer; variance and its error need three"),
        ([[1, 2], [2, 2]], "2 items without a missing answer; variance and its error need three"),
        ([[1], [2], [3]], "one prompt only; its variance needs two"),
        ([[2, 2], [2, 2], [2, 2]], "all answers are the same"),
    ],
)
def test_undefined(answers: list[list[float]], reason: str) -> None:
    assert variance_components(np.array(answers, dtype=np.float64)) == Undefined(reason)


def test_it_is_written_as_json() -> None:
    assert json.loads(json.dumps(found(variance_components(ANSWERS)).to_dict(), allow_nan=False))["n_items"] == 60


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="answers have 1 axes"):
        variance_components(np.ones(3))
    with pytest.raises(InputError, match="answers have 4 axes"):
        variance_components_of_labels(np.ones((3, 2, 2, 2), dtype=np.int8))
