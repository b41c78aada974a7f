import json
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from evals.peers.measure import Peer, Tokens, answer_once
from evals.zero_shot import report
from evals.zero_shot_abstention import abstaining
from evals.zero_shot_cascade import cascade
from evals.zero_shot_labelled import calibration_excess
from evals.zero_shot_measures import Answers, differences, macro_f1, measure, weights_for_share
from evals.zero_shot_peers import PeerAnswers, Peers
from evals.zero_shot_policies import ASKED, CANDIDATES, Quality, choose
from evals.zero_shot_rows import SHARES, Found
from evals.zero_shot_scores import Recorded, cached, record
from evals.zero_shot_tasks import GATED, TASKS, LabelTask, load
from llmclf.agreement import Rating
from llmclf.agreement.classification import macro_f1 as macro_f1_of_ratings
from llmclf.agreement.estimate import Estimate
from llmclf.agreement.ratings import Ratings
from llmclf.backends.base import Likelihoods, Request, Scores
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook
from llmclf.items import Item
from llmclf.levels import Level
from tests.evals.test_throughput import FRAME, SHORT

DATA = os.environ.get("LLMCLF_DATA", "no such folder")
needs_data = pytest.mark.skipif(not Path(DATA).is_dir(), reason="the datasets are not here: set LLMCLF_DATA")
N = 700
BIAS = 3.0
"""By which the scripted model likes the label `good` better, whatever the text."""


def tiny(n: int = N) -> LabelTask:
    words = np.random.default_rng(0).choice(["fine", "awful"], n)
    items = tuple(Item(str(place), text=f"{word} {place}") for place, word in enumerate(words))
    codebook = Codebook.from_labels(["good", "bad"])
    return LabelTask("tiny", codebook, items, np.array([int(word == "awful") for word in words]))


def scripted(name: str = "scripted", signal: float = 2.0) -> ScriptedBackend:
    def answer(request: Request) -> Scores:
        assert isinstance(request.form, Likelihoods)
        said = request.messages[-1].content
        text = said.rpartition("Text:\n")[2]
        tells = signal * (text.startswith("fine") - text.startswith("awful"))
        wobble = len(text) % 10 + sum(map(ord, text)) % 10 / 10  # so that no two texts are alike to it
        return Scores(request.id, {"good": BIAS + tells - 1 + wobble / 20, "bad": -1.0}, {"good": 1, "bad": 1})

    return ScriptedBackend(answer, name=name)


def recorded(folder: Path, signal: float = 2.0) -> Recorded:
    return record(tiny(), scripted(signal=signal), folder, ASKED)


@needs_data
@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_sampled_alike_each_time(name: str) -> None:
    task = load(name)
    again = TASKS[name]()
    assert (task.items, task.truth.tolist()) == (again.items, again.truth.tolist())
    assert len(task.items) == len({item.words for item in task.items}) >= 50
    assert all(0 <= code < len(task.question.codes) for code in task.truth)
    assert max(Counter(task.truth.tolist()).values()) < len(task.items), "more than one label occurs"
    assert (len(task.items) >= GATED) == (not name.startswith("epitome"))
    assert task.labelled == (0 if name.startswith("epitome") else 200)


def test_the_comparison_of_a_biased_model(tmp_path: Path) -> None:
    one = recorded(tmp_path)
    default = next(policy for policy in CANDIDATES if policy.name == "sum, content-free, temperature 1")
    always_good = PeerAnswers("always good", answers=np.zeros(100, dtype=np.int64))
    unsure = PeerAnswers("unsure", answers=np.zeros(100, dtype=np.int64), probabilities=np.full((100, 2), 0.5))
    found = Found(chosen={"tiny": default.name}, policies={default.name: Quality(1.0, 0.5, 0.5)})
    found.add("Tiny", one, default, [always_good, unsure, PeerAnswers("broken", "it failed")])
    by_system = {row.system: row for row in found.rows if row.share is None}
    ours, raw = by_system["llmclf default"].measures, by_system["llmclf raw"].measures
    assert ours is not None
    assert raw is not None
    assert (ours.n, ours.accuracy, ours.invalid, ours.share_error) == (N - 200, 1.0, 0, 0.0)
    assert raw.macro_f1 < 0.5
    assert by_system["broken"].problem == "it failed"
    gap = by_system["unsure"].differences
    assert gap["macro_f1"].low > 0.3
    assert gap["log_loss"].high < 0
    assert set(by_system["always good"].differences) == {"macro_f1"}
    text = "\n".join(report(found))
    assert "it failed" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "met      macro-F1 clearly above the best peer's on most tasks: 1 of 1" in text
    assert json.loads(json.dumps(asdict(found)))["rows"]


def test_what_is_on_record_is_not_asked_again(tmp_path: Path) -> None:
    task = tiny(60)
    record(task, scripted(), tmp_path, ASKED)

    def refuse(request: Request) -> Scores:
        raise AssertionError(request)

    again = record(task, ScriptedBackend(refuse, name="scripted"), tmp_path, ASKED)
    assert again.probabilities(CANDIDATES[0]).shape == (60, 2)


def test_what_is_cached_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    assert cached(tiny(), tmp_path) is None
    record(tiny(60), scripted(), tmp_path, ASKED)
    found = cached(tiny(), tmp_path)
    assert found is not None
    assert found.probabilities(CANDIDATES[3]).shape == (60, 2)
    assert found.task.truth.tolist() == tiny().truth[:60].tolist()
    peers = Peers(tmp_path / "model.gguf", tmp_path, tmp_path, only_cached=True)
    assert peers.ask("guidance", tiny(), 10).problem == "not in the cache"


def test_other_shares_are_weights_of_the_same_answers() -> None:
    truth = np.array([0, 0, 0, 1])
    weights = weights_for_share(truth, 0.5)
    always_first = Answers(np.zeros(4, dtype=np.int64))
    assert weights @ (truth == 0) / weights.sum() == pytest.approx(0.5)
    assert measure(always_first, truth, 2).share_error == pytest.approx(0.25)
    assert measure(always_first, truth, 2, weights).share_error == pytest.approx(0.5)
    assert measure(always_first, truth, 2, weights).accuracy == pytest.approx(0.5)
    assert SHARES == (0.5, 0.9, 0.97)


def test_macro_f1_is_that_of_the_audits() -> None:
    rng = np.random.default_rng(0)
    truth, given = rng.integers(0, 4, 80), rng.integers(0, 3, 80)
    rows = [
        Rating(str(n), who, str(code)) for who, codes in (("a", truth), ("b", given)) for n, code in enumerate(codes)
    ]
    expected = macro_f1_of_ratings(Ratings.from_rows(rows, Level.NOMINAL, scale=list("0123")))
    assert isinstance(expected, Estimate)
    assert macro_f1(given, truth, 4, np.ones((1, 80)))[0] == pytest.approx(expected.value)


def test_an_invalid_answer_is_wrong_and_counted() -> None:
    found = measure(Answers(np.array([0, -1])), np.array([0, 1]), 2)
    assert (found.accuracy, found.invalid, found.log_loss) == (0.5, 1, None)


def test_equal_systems_do_not_differ() -> None:
    truth = np.arange(50) % 2
    one = Answers.likeliest(np.random.default_rng(0).dirichlet([1, 1], 50))
    for difference in differences(one, one, truth, 2).values():
        assert (difference.value, difference.low, difference.high, difference.is_clear) == (0, 0, 0, False)


def test_perfect_calibration_has_no_excess() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 800)
    truth = (rng.random((800, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    honest = calibration_excess(p, truth)
    assert honest.low < 0 < honest.high
    sure = p**4 / (p**4).sum(axis=1, keepdims=True)
    assert calibration_excess(sure, truth).low > 0.05


def test_a_policy_is_chosen_without_the_task() -> None:
    good, other = CANDIDATES[3].name, CANDIDATES[5].name
    bad = dict.fromkeys((policy.name for policy in CANDIDATES), Quality(0.5, 1.0, 1.0))
    better, best = Quality(0.6, 0.9, 0.9), Quality(1.0, 0.1, 0.1)
    qualities = {"one": [bad | {other: best}], "two": [bad | {good: better}], "three": [bad | {good: better}]}
    assert choose(qualities, "one").name == good
    assert choose(qualities, "two").name == other


def test_a_promise_of_risk_is_seldom_broken() -> None:
    rng = np.random.default_rng(0)
    first = 1 - rng.beta(1, 8, 2000) / 2
    truth = (rng.random(2000) > first).astype(np.int64)
    (found,) = abstaining("Tiny", "tiny", {"honest": np.column_stack([first, 1 - first])}, truth)
    assert found.violated <= 0.1 + 2 * found.monte_carlo_error
    assert found.coverage > 0.5
    assert list(abstaining("Tiny", "tiny", {}, truth[:50])) == []


def test_a_cascade_needs_a_better_model(tmp_path: Path) -> None:
    large = replace(tiny(), items=tiny(1200).items, truth=tiny(1200).truth)
    weak = record(large, scripted("weak", 0.0), tmp_path / "weak", ASKED)
    strong = record(large, scripted("strong", 2.0), tmp_path / "strong", ASKED)
    policy = CANDIDATES[3]
    shown = cascade(("weak", weak), ("strong", strong), policy)
    assert (shown.problem, shown.cheap, shown.better, shown.verdict) == ("", "weak", "strong", "worse")
    assert shown.saved == pytest.approx(0.5, abs=0.05)
    assert "no lead" in cascade(("strong", strong), ("weak", weak), policy).problem
    few = (Recorded(tiny(), weak.path), Recorded(tiny(), strong.path))
    assert "fewer than 1,000" in cascade(("weak", few[0]), ("strong", few[1]), policy).problem


def test_a_peer_answers_each_text_once() -> None:
    task = replace(SHORT.task("", FRAME), repeats=0)
    asked: list[str] = []

    def answer(texts: tuple[str, ...]) -> list[str | None]:
        asked.extend(texts)
        return ["news"] * len(texts)

    plain = answer_once(task, Peer(answer, Tokens))  # type: ignore[arg-type]
    assert plain == {"answers": ["news", "news"], "probabilities": None}
    assert asked == list(task.texts)
    sure = answer_once(task, Peer(answer, Tokens, lambda texts: [[0.2, 0.8]] * len(texts)))  # type: ignore[arg-type]
    assert sure == {"answers": ["clickbait", "clickbait"], "probabilities": [[0.2, 0.8], [0.2, 0.8]]}
