import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from llmclf.annotations import Annotation, LabelValue
from llmclf.backends.base import Likelihoods, Reply, Request, Scores
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook, Label, Question
from llmclf.errors import Inconclusive, InputError
from llmclf.fitting import Wanted, fit
from llmclf.items import Item
from llmclf.job import Job
from llmclf.job_file import JobFile, open_records
from llmclf.policy import RAW, Policy
from llmclf.status import Status

CHOICE = Question(name="q", kind="choice", ask="Which?", label=(Label(name="a"), Label(name="b")))
SET = Question(name="t", kind="set", ask="What?", label=(Label(name="x"), Label(name="y")))
BOOK = Codebook(name="b", question=(CHOICE, SET))
N = 600
DRAWN = np.random.default_rng(7)
LOGITS = DRAWN.normal(scale=1.5, size=N)
TRUE = DRAWN.random(N) < 1 / (1 + np.exp(-LOGITS))
OVERCONFIDENT = 3.0
ITEMS = [Item(str(n), text=f"text {n}") for n in range(N)]
LABELS: dict[str, dict[str, LabelValue]] = {
    "q": {str(n): "b" if TRUE[n] else "a" for n in range(200)},
    "t": {str(n): ("x",) if TRUE[n] else ("y",) for n in range(200)},
}


def score(request: Request) -> Reply:
    """Say what is true of a text's number, three times too sure; of each label of a set, that it is unlikely."""
    assert isinstance(request.form, Likelihoods)
    said = "".join(message.content for message in request.messages)
    logit = float(LOGITS[int(said.rpartition("text ")[2])]) * OVERCONFIDENT
    if request.form.labels == ("yes", "no"):
        logit = (logit if "- x" in said else -logit) - 3
        return Scores(request.id, {"yes": logit, "no": 0.0}, {"yes": 1, "no": 1})
    return Scores(request.id, {"a": 0.0, "b": logit}, {"a": 1, "b": 1})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("fitting") / "job"
    job = Job(found, BOOK, ScriptedBackend(score))
    list(job.annotate(ITEMS))
    job.close()
    return found


@contextmanager
def opened(path: Path) -> Iterator[JobFile]:
    with open_records(path) as records:
        yield JobFile(records)


def annotations(path: Path, policy: Policy) -> dict[str, dict[str, Annotation]]:
    found: dict[str, dict[str, Annotation]] = {"q": {}, "t": {}}
    with opened(path) as file:
        for one in file.annotations(1, policy=policy):
            found[one.question][one.item] = one
    return found


def fitted(path: Path, wanted: Wanted, labels: dict[str, dict[str, LabelValue]] = LABELS) -> Policy:
    with opened(path) as file:
        return fit(file, 1, RAW, labels, wanted)


def test_a_temperature_makes_an_overconfident_models_probabilities_mean_what_they_say(path: Path) -> None:
    policy = fitted(path, Wanted(calibration="temperature"), {"q": LABELS["q"]})
    assert policy.fitted["q"].calibration["temperature"] == pytest.approx(OVERCONFIDENT, rel=0.3)

    def loss(by: Policy) -> float:
        found = annotations(path, by)["q"]
        return float(np.mean([-math.log(found[str(n)].probabilities["b" if TRUE[n] else "a"]) for n in range(200, N)]))

    assert loss(policy) < loss(RAW) - 0.05


def test_examples_are_decided_on_by_fits_without_them(path: Path) -> None:
    policy = fitted(path, Wanted(calibration="vector"), {"q": LABELS["q"]})
    found = annotations(path, policy)["q"]
    assert [found[str(n)].fitted_on for n in (0, 199, 200)] == ["others", "others", None]
    assert set(policy.fitted["q"].folds) == set(LABELS["q"])
    other: dict[str, LabelValue] = dict(LABELS["q"])
    other["0"] = "a" if other["0"] == "b" else "b"
    again = annotations(path, fitted(path, Wanted(calibration="vector"), {"q": other}))["q"]
    same_fold = [item for item, fold in policy.fitted["q"].folds.items() if fold == policy.fitted["q"].folds["0"]]
    assert again["300"].probability != found["300"].probability  # which all examples have taught
    for item in same_fold[:5]:
        assert again[item].probability == pytest.approx(found[item].probability, abs=0.02)


def test_thresholds_of_a_set_find_labels_that_are_always_unlikely(path: Path) -> None:
    policy = fitted(path, Wanted(metric="macro-f1"), {"t": LABELS["t"]})
    assert all(least < 0.3 for least in policy.fitted["t"].thresholds)

    def f1(by: Policy) -> float:
        found = annotations(path, by)["t"]
        said = [set(found[str(n)].label or ()) for n in range(200, N)]
        hits = sum(("x" if TRUE[n] else "y") in one for n, one in enumerate(said, 200))
        return 2 * hits / (sum(map(len, said)) + len(said))

    assert f1(policy) > f1(RAW) + 0.05
    assert annotations(path, policy)["t"]["5"].fitted_on == "others"


def test_a_wanted_risk_is_kept_and_said(path: Path) -> None:
    policy = fitted(path, Wanted(risk=0.2), {"q": LABELS["q"]})
    found = annotations(path, policy)["q"]
    given = [n for n in range(200, N) if found[str(n)].status is Status.OK]
    held_back = [n for n in range(200, N) if found[str(n)].status is Status.ABSTAINED]
    assert given
    assert held_back
    assert len(given) + len(held_back) == N - 200
    wrong = sum(found[str(n)].label != ("b" if TRUE[n] else "a") for n in given)
    assert wrong / len(given) <= 0.2
    assert "P(true risk <= 0.2) >= 0.9" in policy.fitted["q"].statement
    assert found["0"].fitted_on == "itself"


def test_where_both_are_wanted_no_example_teaches_and_judges(path: Path) -> None:
    settled = fitted(path, Wanted(calibration="temperature", risk=0.25), {"q": LABELS["q"]}).fitted["q"]
    assert set(settled.folds) | set(settled.risk_examples) == set(LABELS["q"])
    assert not set(settled.folds) & set(settled.risk_examples)


def test_a_risk_that_cannot_be_claimed_is_said(path: Path) -> None:
    with pytest.raises(Inconclusive, match="no threshold found"):
        fitted(path, Wanted(risk=0.01), {"q": LABELS["q"]})


def test_too_few_examples_are_refused(path: Path) -> None:
    few: dict[str, dict[str, LabelValue]] = {"q": {str(n): "a" if n % 2 else "b" for n in range(9)}}
    with pytest.raises(InputError, match="9 labelled items are too few"):
        fitted(path, Wanted(calibration="temperature"), few)
    with pytest.raises(InputError, match="no labelled example is an item of the job"):
        fitted(path, Wanted(calibration="temperature"), {"q": {"nobody": "a"}})


def test_a_fitted_policy_is_read_again_from_its_file(path: Path, tmp_path: Path) -> None:
    policy = fitted(path, Wanted(calibration="isotonic", metric="accuracy"))
    (tmp_path / "fitted.json").write_text(policy.model_dump_json(exclude_defaults=True))
    again = Policy.load(tmp_path / "fitted.json")
    assert again == policy
    assert annotations(path, again) == annotations(path, policy)
