import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.backends.base import Completion, Failure, Reply, Scores
from llmclf.codebook import Codebook, Label, Question
from llmclf.deciding import Decider, ItemReplies
from llmclf.decisions import decide
from llmclf.errors import InputError
from llmclf.policy import POLICIES, RAW, Fitted, Policy
from llmclf.status import Status
from llmclf.variants import asked_questions

CHOICE = Question(name="q", kind="choice", ask="?", label=tuple(Label(name=name) for name in ("a", "b", "c")))
SCORE = Question(name="s", kind="score", ask="?", label=tuple(Label(name=f"n{v}", value=v) for v in (0, 1, 2)))
SET = Question(name="t", kind="set", ask="?", label=(Label(name="x"), Label(name="y")))


def scores(*values: float, names: Sequence[str] = ("a", "b", "c"), tokens: Sequence[int] = (1, 1, 1)) -> Scores:
    return Scores(0, dict(zip(names, values, strict=True)), dict(zip(names, tokens, strict=True)))


def logs(*p: float) -> list[float]:
    return [math.log(one) for one in p]


def decider(policy: Policy, question: Question = CHOICE) -> Decider:
    return Decider(policy, asked_questions(Codebook(name="b", question=(question,)), policy.variants))


def label(one: Decider, replies: ItemReplies) -> tuple[object, dict[str, float]]:
    ((decision,),) = one.decide(["i"], [replies])
    return decision.label, dict(decision.probabilities or {})


def test_what_labels_have_on_texts_that_say_nothing_is_taken_off() -> None:
    one = decider(POLICIES["content-free"])
    one.learn([[[[scores(*logs(0.5, 0.3, 0.2))]], [[scores(*logs(0.7, 0.1, 0.2))]]]])
    found, p = label(one, [[scores(*logs(0.5, 0.3, 0.2))]])
    weights = {"a": 0.5 / 0.6, "b": 0.3 / 0.2, "c": 0.2 / 0.2}  # by the means over the two texts
    assert found == "b"
    assert p == pytest.approx({code: weight / sum(weights.values()) for code, weight in weights.items()})


def test_each_kind_of_texts_has_half_a_say() -> None:
    policy = Policy(correction="content-free", random_texts=3)
    one = decider(policy)
    fixed, drawn = [[[scores(*logs(0.8, 0.1, 0.1))]]], [[[scores(*logs(0.2, 0.4, 0.4))]]] * 3
    one.learn([fixed, drawn])
    _, p = label(one, [[scores(*logs(1 / 3, 1 / 3, 1 / 3))]])
    weights = [1 / math.sqrt(0.8 * 0.2), 1 / math.sqrt(0.1 * 0.4), 1 / math.sqrt(0.1 * 0.4)]
    assert list(p.values()) == pytest.approx([weight / sum(weights) for weight in weights])


def test_a_batch_correction_brings_the_shares_of_the_first_items_nearer_to_equal() -> None:
    drawn = np.random.default_rng(0)
    rows: list[ItemReplies] = [[[scores(*np.add(drawn.normal(size=3), (3, 0, 0)))]] for _ in range(400)]
    raw, batch = decider(RAW), decider(POLICIES["batch"])
    batch.learn([rows])
    shares = [
        np.mean([list((one[0].probabilities or {}).values()) for one in which.decide(["i"] * 400, rows)], axis=0)
        for which in (raw, batch)
    ]
    assert shares[0][0] > 0.8
    assert max(shares[1]) < 0.5


def test_a_mean_is_taken_over_the_tokens_of_each_label() -> None:
    said: ItemReplies = [[scores(-3.0, -4.0, -9.0, tokens=(1, 4, 2))]]
    assert label(decider(RAW), said)[0] == "a"
    assert label(decider(POLICIES["mean"]), said)[0] == "b"


def test_declared_shares_take_the_place_of_the_models_own() -> None:
    even = [[[scores(*logs(0.2, 0.2, 0.6))]]]
    policy = Policy(correction="content-free", temperature=0.5, prior={"q": {"a": 0.7, "b": 0.2, "c": 0.1}})
    one = decider(policy)
    one.learn([even])
    _, p = label(one, [[scores(*logs(0.2, 0.2, 0.6))]])
    assert p == pytest.approx({"a": 0.7, "b": 0.2, "c": 0.1})


def test_orders_are_averaged_by_label_and_their_spread_is_the_instability() -> None:
    one = decider(Policy(orders=3))
    said = [
        [scores(*logs(0.8, 0.1, 0.1))],
        [scores(*logs(0.1, 0.1, 0.8), names=("b", "c", "a"))],
        [scores(*logs(0.8, 0.1, 0.1), names=("c", "a", "b"))],
    ]
    ((found,),) = one.decide(["i"], [said])
    assert found.label == "a"
    weights = [0.8 * 0.8 * 0.1, 0.1**3, 0.1 * 0.1 * 0.8]
    means = [weight ** (1 / 3) for weight in weights]
    assert list((found.probabilities or {}).values()) == pytest.approx([mean / sum(means) for mean in means])
    mean = (0.8 + 0.8 + 0.1) / 3
    apart = [abs(0.8 - mean), abs(0.8 - mean), abs(0.1 - mean)]
    assert found.instability == pytest.approx(sum(apart) / 3)


def test_one_way_that_failed_is_no_label() -> None:
    one = decider(Policy(orders=2))
    said: ItemReplies = [[scores(0.0, -1.0, -2.0)], [Failure(0, Status.TIMEOUT, "too late", retryable=True)]]
    ((found,),) = one.decide(["i"], [said])
    assert (found.status, found.label) == (Status.TIMEOUT, None)


def test_labels_without_probabilities_are_votes() -> None:
    one = decider(Policy(orders=3))
    said: ItemReplies = [[Completion(0, f'{{"label": "{name}"}}')] for name in ("b", "a", "b")]
    ((found,),) = one.decide(["i"], [said])
    assert (found.label, found.origin, found.samples) == ("b", "samples", 3)
    assert found.probability == pytest.approx(2 / 3)
    assert found.instability == pytest.approx(1 / 3)


def test_labels_without_likelihoods_cannot_be_corrected() -> None:
    with pytest.raises(InputError, match="labels without any"):
        decider(POLICIES["content-free"]).learn([[[[Completion(0, '{"label": "a"}')]]]])


def test_a_batch_of_a_few_is_refused() -> None:
    with pytest.raises(InputError, match="3 items have an answer, not 50"):
        decider(POLICIES["batch"]).learn([[[[scores(0.0, -1.0, -2.0)]]] * 3])


def test_each_label_of_a_set_is_corrected_alone() -> None:
    def yes(*p: float) -> list[Reply]:
        return [scores(math.log(1 - one), math.log(one), names=("no", "yes"), tokens=(1, 1)) for one in p]

    one = decider(POLICIES["content-free"], SET)
    one.learn([[[yes(0.8, 0.4)]]])
    found, p = label(one, [yes(0.7, 0.5)])
    assert found == ("y",)
    assert p == pytest.approx({"x": (0.7 / 0.8) / (0.7 / 0.8 + 0.3 / 0.2), "y": (0.5 / 0.4) / (0.5 / 0.4 + 0.5 / 0.6)})


@pytest.mark.parametrize(("reading", "level"), [("mode", "0"), ("expected", "1"), ("median", "1")])
def test_a_scale_is_read_as_the_policy_says(reading: str, level: str) -> None:
    policy = Policy.model_validate({"score": reading})
    said: ItemReplies = [[scores(*logs(0.4, 0.25, 0.35), names=("n0", "n1", "n2"))]]
    assert label(decider(policy, SCORE), said)[0] == level


def test_below_the_least_probability_there_is_no_label_and_the_probabilities_stay() -> None:
    one = decider(Policy(least_probability=0.6))
    ((sure,), (unsure,)) = one.decide(["i", "j"], [[[scores(*logs(0.7, 0.2, 0.1))]], [[scores(*logs(0.5, 0.3, 0.2))]]])
    assert (sure.status, sure.label) == (Status.OK, "a")
    assert (unsure.status, unsure.label, unsure.probability) == (Status.ABSTAINED, None, None)
    assert unsure.probabilities == pytest.approx({"a": 0.5, "b": 0.3, "c": 0.2})


def test_an_example_is_decided_on_by_what_the_other_folds_settle() -> None:
    hot, cold = ({"method": "temperature", "temperature": t} for t in (2.0, 0.5))
    fitted = Fitted(calibration=hot, calibration_without=(cold, hot), folds={"one": 0, "two": 1})
    one = decider(Policy(fitted={"q": fitted}))
    said: ItemReplies = [[scores(*logs(0.5, 0.3, 0.2))]]
    alone, first, second = (found.probability for (found,) in one.decide(["new", "one", "two"], [said] * 3))
    assert alone == second == pytest.approx(0.5**0.5 / (0.5**0.5 + 0.3**0.5 + 0.2**0.5))
    assert first == pytest.approx(0.25 / (0.25 + 0.09 + 0.04))


def test_the_channel_reads_how_likely_the_text_is_given_each_label() -> None:
    one = decider(POLICIES["channel"])
    said: ItemReplies = [[Scores(0, {"the text": value}, {"the text": 4}) for value in (-9.0, -7.0, -8.0)]]
    assert label(one, said)[0] == "b"
    late: ItemReplies = [[Scores(0, {"the text": -9.0}, {"the text": 4}), Failure(0, Status.TOO_LONG, "long")]]
    ((found,),) = one.decide(["i"], [late])
    assert found.status is Status.TOO_LONG


def test_shares_of_samples_are_smoothed_and_what_a_table_does_not_tell_is_shared() -> None:
    one = decider(Policy(temperature=2.0))
    samples = [Completion(0, f'{{"label": "{name}"}}') for name in "aab"]
    _, p = label(one, [samples])
    weights = [math.sqrt((count + 0.5) / 4.5) for count in (2, 1, 0)]
    assert list(p.values()) == pytest.approx([weight / sum(weights) for weight in weights])


SAID = st.lists(st.lists(st.floats(-30, 0), min_size=3, max_size=3), min_size=2, max_size=30)


@given(SAID, st.sampled_from(["raw", "mean", "content-free", "default"]))
@settings(max_examples=50)
def test_one_row_has_the_answer_that_it_has_among_many(values: list[list[float]], name: str) -> None:
    policy = POLICIES[name]
    one = decider(policy)
    if policy.takes_texts:
        one.learn([[[[scores(-1.0, -2.0, -0.5)]]]])
    rows: list[ItemReplies] = [[[scores(*row, tokens=(1, 2, 3))]] for row in values]
    ids = [str(n) for n in range(len(rows))]
    together = one.decide(ids, rows)
    assert together == [one.decide([item], [row])[0] for item, row in zip(ids, rows, strict=True)]


@given(SAID)
@settings(max_examples=50)
def test_raw_is_the_plain_decision(values: list[list[float]]) -> None:
    for row in values:
        assert decider(RAW).decide(["i"], [[[scores(*row)]]]) == [[decide(CHOICE, [scores(*row)])]]
