import re
from dataclasses import replace

import numpy as np
import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.dawid_skene import DawidSkene, dawid_skene
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.majority import majority
from llmclf.levels import Level
from tests.agreement.crowds import anaesthesia, crowd, erring_crowd, reference

PUBLISHED = reference("dawid_skene_1979")


def fitted(found: DawidSkene | Undefined) -> DawidSkene:
    assert isinstance(found, DawidSkene), found
    return found


def log_likelihood_by_definition(ratings: LongForm, found: DawidSkene) -> float:
    """Equation 2.7 of the paper, by loops."""
    total = 0.0
    for i in range(ratings.n_items):
        joint = found.prevalence.copy()
        for a, label in zip(ratings.annotator[ratings.item == i], ratings.label[ratings.item == i], strict=True):
            joint *= found.error_matrices[a, :, label]
        total += float(np.log(joint.sum()))
    return total


def test_dawid_skene_1979() -> None:
    found = fitted(dawid_skene(anaesthesia()))
    assert found.prevalence.tolist() == pytest.approx(PUBLISHED["prevalence"], abs=1e-8)
    assert found.log_likelihood == pytest.approx(PUBLISHED["log_likelihood"], abs=1e-8)
    assert found.error_matrices == pytest.approx(np.array(PUBLISHED["error_matrices"]), abs=1e-8)
    assert found.posterior == pytest.approx(np.array(PUBLISHED["posterior"]), abs=1e-6)  # as printed
    assert found.converged
    assert found.to_dict() == {
        "prevalence": found.prevalence.tolist(),
        "log_likelihood": found.log_likelihood,
        "iterations": found.iterations,
        "converged": True,
        "start": "majority",
        "n_items": 45,
        "n_annotators": 5,
    }


def test_random_starts_find_a_higher_maximum_than_the_published_one() -> None:
    found = fitted(dawid_skene(anaesthesia(), random_starts=20))
    assert found.start == "random"
    assert found.log_likelihood == pytest.approx(-189.4053309, abs=1e-6)
    assert found.log_likelihood == pytest.approx(log_likelihood_by_definition(anaesthesia(), found), abs=1e-8)
    assert np.mean(found.codes == fitted(dawid_skene(anaesthesia())).codes) > 0.9, "labels keep their names"


def test_a_crowd_of_a_known_accuracy_is_found_out() -> None:
    truth = np.random.default_rng(3).choice(3, 2_000, p=[0.6, 0.3, 0.1])
    ratings = erring_crowd(truth, n_annotators=10, per_item=8, accuracy=0.7, n_labels=3)
    found = fitted(dawid_skene(ratings))
    assert found.prevalence.tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
    assert found.error_matrices.mean(axis=0) == pytest.approx(np.full((3, 3), 0.1) + 0.7 * np.eye(3), abs=0.02)
    assert np.mean(found.codes == truth) > 0.97


def test_it_is_right_where_the_majority_errs_alike() -> None:
    """Three annotators swap two labels; two are always right, which the third label shows."""
    truth = np.random.default_rng(0).integers(0, 3, 500)
    swapped = np.random.default_rng(1).random((500, 3)) < 0.45
    careless = np.where(swapped, np.array([1, 0, 2])[truth][:, np.newaxis], truth[:, np.newaxis])
    label = np.column_stack([careless, truth, truth]).ravel()
    ratings = LongForm(
        np.repeat(np.arange(500), 5), np.tile(np.arange(5), 500), label, 500, 5, np.arange(3.0), Level.NOMINAL
    )
    assert np.mean(majority(ratings).codes == truth) < 0.99
    assert np.mean(fitted(dawid_skene(ratings)).codes == truth) == 1


def test_items_without_ratings_have_the_prevalence_and_no_label() -> None:
    ratings = crowd("112 222 111 . 2212")
    few = replace(ratings, annotator=ratings.annotator % 3, n_annotators=3)
    found = fitted(dawid_skene(few))
    assert found.posterior[3].tolist() == found.prevalence.tolist()
    assert found.codes[3] == -1
    without = fitted(dawid_skene(replace(few, item=np.where(few.item > 3, few.item - 1, few.item), n_items=4)))
    assert found.log_likelihood == without.log_likelihood


def test_order_of_items_and_annotators_does_not_matter() -> None:
    one = anaesthesia()
    turned = replace(one, item=44 - one.item[::-1], annotator=4 - one.annotator[::-1], label=one.label[::-1])
    found, other = fitted(dawid_skene(one)), fitted(dawid_skene(turned))
    assert other.log_likelihood == pytest.approx(found.log_likelihood)
    assert other.posterior[::-1] == pytest.approx(found.posterior, abs=1e-9)
    assert other.error_matrices[::-1] == pytest.approx(found.error_matrices, abs=1e-9)


def test_a_climb_that_is_cut_short_says_so() -> None:
    assert not fitted(dawid_skene(anaesthesia(), max_iterations=3)).converged


@pytest.mark.parametrize(
    ("words", "reason"),
    [("1 2 1", "no item has two ratings"), ("11 11", "only one label occurs"), ("1 1", "no item has two ratings")],
)
def test_nothing_to_estimate(words: str, reason: str) -> None:
    assert dawid_skene(crowd(words)) == Undefined(reason)


def test_many_annotators() -> None:
    truth = np.random.default_rng(0).integers(0, 2, 40_000)
    found = fitted(dawid_skene(erring_crowd(truth, 20_000, per_item=5, accuracy=0.6, n_labels=2), max_iterations=9))
    assert found.error_matrices.shape == (20_000, 2, 2)
    assert np.mean(found.codes == truth) > 0.9


def test_a_million_annotators_who_rate_little_are_not_fitted() -> None:
    """Their errors could be fitted to anything: the labels would be worse than the majority's."""
    truth = np.random.default_rng(0).integers(0, 2, 100_000)
    found = dawid_skene(erring_crowd(truth, 1_000_000, per_item=3, accuracy=0.8, n_labels=2))
    assert isinstance(found, Undefined)
    assert re.fullmatch(r"300000 ratings are fewer than \d+ parameters: \d+ annotators' errors", found.undefined)
