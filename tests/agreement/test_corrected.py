import json
from dataclasses import replace

import numpy as np
import pytest

from llmclf.agreement import Estimate, Ratings, Undefined
from llmclf.agreement.corrected import corrected
from llmclf.errors import InputError
from llmclf.levels import Level
from tests.agreement.samples import TRUE_PREVALENCE, Simulated
from tests.agreement.tables import coded, estimate


def ratings(drawn: Simulated) -> Ratings:
    expert = np.where(np.isnan(drawn.outcome), -1, drawn.outcome).astype(np.int8)
    return coded(np.column_stack([drawn.model, expert]), Level.NOMINAL, 2)


def scores(n_items: int = 400) -> tuple[Ratings, np.ndarray, np.ndarray]:
    """A model that scores half a point too high, in two strata of different probabilities."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, n_items)
    model = np.minimum(truth + (rng.random(n_items) < 0.5), 4)
    probability = np.where(np.arange(n_items) % 2, 0.5, 0.2)
    expert = np.where(rng.random(n_items) < probability, truth, -1)
    return coded(np.column_stack([model, expert]), Level.ORDINAL, 5), probability, truth


def test_the_corrected_prevalence_stands_beside_the_uncorrected_one() -> None:
    drawn = Simulated.draw(8)
    found = corrected(ratings(drawn), drawn.probability)
    assert found.estimand == "what these experts would have labelled"
    assert (found.n_items, found.n_expert) == (1000, int((~np.isnan(drawn.outcome)).sum()))
    assert list(found.prevalence) == ["0", "1"]
    assert found.mean is None
    yes = found.prevalence["1"]
    uncorrected = estimate(yes.uncorrected)
    assert uncorrected.value == drawn.model.mean()
    assert uncorrected.low is not None
    assert uncorrected.low > TRUE_PREVALENCE
    assert "not what experts would have said" in uncorrected.method
    assert yes.rogan_gladen is not None
    for coefficient in (yes.design_supervised, yes.prediction_powered, yes.rogan_gladen):
        one = estimate(coefficient)
        assert one.se is not None
        assert abs(one.value - drawn.truth.mean()) < 2.5 * one.se
        assert one.n_items == 1000


def test_the_two_labels_add_up_to_one() -> None:
    drawn = Simulated.draw(9)
    no, yes = corrected(ratings(drawn), drawn.probability).prevalence.values()
    for method in ("uncorrected", "design_supervised", "prediction_powered", "rogan_gladen"):
        assert estimate(getattr(no, method)).value + estimate(getattr(yes, method)).value == pytest.approx(1)


def test_scores_have_a_corrected_mean_and_unequal_probabilities_leave_dsl() -> None:
    table, probability, truth = scores()
    found = corrected(table, probability)
    assert found.mean is not None
    assert found.mean.rogan_gladen is None
    assert isinstance(found.mean.prediction_powered, Undefined)
    mean = estimate(found.mean.design_supervised)
    assert mean.se is not None
    assert abs(mean.value - truth.mean()) < 2.5 * mean.se
    assert estimate(found.mean.uncorrected).value > truth.mean() + 0.3
    assert sum(estimate(share.design_supervised).value for share in found.prevalence.values()) == pytest.approx(1)
    assert all(share.rogan_gladen is None for share in found.prevalence.values())


def test_items_that_the_model_could_not_label_stay_in() -> None:
    drawn = Simulated.draw(10)
    table = ratings(drawn)
    unlabelled = table.codes.copy()
    unlabelled[drawn.truth == 1, 0] = np.where(np.arange((drawn.truth == 1).sum()) % 2, -1, 1)
    yes = corrected(replace(table, codes=unlabelled), drawn.probability).prevalence["1"]
    assert estimate(yes.uncorrected).n_items == int((unlabelled[:, 0] >= 0).sum())
    for coefficient in (yes.design_supervised, yes.prediction_powered):
        one = estimate(coefficient)
        assert one.se is not None
        assert abs(one.value - drawn.truth.mean()) < 2.5 * one.se
    nothing = np.column_stack([np.full(1000, -1), unlabelled[:, 1]]).astype(np.int8)
    of_nothing = corrected(replace(table, codes=nothing), drawn.probability).prevalence["1"]
    assert of_nothing.uncorrected == Undefined("the model labelled no item")
    assert isinstance(of_nothing.design_supervised, Estimate)


def test_the_document() -> None:
    table, probability, _ = scores()
    document = json.loads(json.dumps(corrected(table, probability).to_dict()))
    assert list(document) == ["estimand", "n_items", "n_expert", "prevalence", "mean"]
    assert set(document["mean"]["design_supervised"]) == {"value", "se", "low", "high", "n_items", "method"}
    assert "undefined" in document["prevalence"]["0"]["prediction_powered"]
    assert document["mean"]["rogan_gladen"] is None


def test_a_label_that_nobody_gives_has_no_interval() -> None:
    table, probability, _ = scores()
    wider = replace(table, scale=(*table.scale, "5"))
    none = corrected(wider, probability).prevalence["5"]
    assert estimate(none.design_supervised).value == 0
    assert estimate(none.design_supervised).low is None


def test_refusals() -> None:
    table, probability, _ = scores()
    with pytest.raises(InputError, match="item '0': 7 is no sampling probability"):
        corrected(table, np.where(np.arange(400) == 0, 7, probability))
    with pytest.raises(InputError, match="two annotators are needed, not 1"):
        corrected(table.select(["0"]), probability)
    with pytest.raises(InputError, match="single labels, not of sets"):
        corrected(replace(table, level=Level.SET), probability)
    complete = table.codes.copy()
    complete[:, 1] = complete[:, 0]
    with pytest.raises(InputError, match="all items have expert labels"):
        corrected(replace(table, codes=complete), probability)
