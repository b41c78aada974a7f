from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import llmclf
from llmclf import Codebook, InputError, ZeroShotClassifier
from llmclf.backends.base import Completion, Failure, Likelihoods, Reply, Request, Scores, Structured
from llmclf.backends.recorded import ScriptedBackend
from llmclf.status import Status

TEXTS = ["good", "bad", "so so", "", "good bad"]


def script(request: Request) -> Reply:
    """Like a label as much as its name is in the text; say nothing about `broken`."""
    assert isinstance(request.form, Likelihoods)
    said = request.messages[-1].content
    text = said.rpartition("Text:\n")[2]
    if text == "broken":
        return Failure(request.id, Status.REFUSED, "no")
    scores = {label: 2.0 * (label in text) for label in request.form.labels}
    if request.form.labels == ("yes", "no"):
        asked = said.partition("- ")[2].partition("\n")[0]
        scores = {"yes": float(asked in text), "no": 0.5}
    return Scores(request.id, scores, dict.fromkeys(scores, 1))


@pytest.fixture
def classifier() -> ZeroShotClassifier:
    return ZeroShotClassifier(labels=["good", "bad"], backend=ScriptedBackend(script)).fit()


def test_predict_and_predict_proba_follow_sorted_classes(classifier: ZeroShotClassifier) -> None:
    assert classifier.classes_.tolist() == ["bad", "good"]
    assert classifier.predict(["good", "bad"]).tolist() == ["good", "bad"]
    table = classifier.predict_proba(["good", "so so"])
    assert table.sum(axis=1) == pytest.approx([1, 1])
    assert table[0, 1] > 0.8
    assert table[1].tolist() == [0.5, 0.5]


def test_a_text_without_an_answer_has_no_label(classifier: ZeroShotClassifier) -> None:
    assert classifier.predict(["good", "", "broken"]).tolist() == ["good", None, None]
    assert np.isnan(classifier.predict_proba(["good", "", "broken"])).tolist() == [[False] * 2, [True] * 2, [True] * 2]


def test_a_label_that_a_server_does_not_tell_has_no_probability() -> None:
    def tell(request: Request) -> Reply:
        text = request.messages[-1].content.rpartition("Text:\n")[2]
        seen = {"good": -0.5} if text == "good" else {}
        return Scores(request.id, seen, {}, origin="logprobs", text=text, remainder=0.1 if seen else 1.0)

    three = ZeroShotClassifier(["good", "bad", "so so"], backend=ScriptedBackend(tell), policy="raw").fit()
    assert three.predict(["good", "bad"]).tolist() == ["good", "bad"]
    assert np.isnan(three.predict_proba(["good", "bad"])).tolist() == [[True, False, True], [True] * 3]


def test_frames_and_series_come_back_as_they_went_in(classifier: ZeroShotClassifier) -> None:
    index = pd.Index(list("abcde"))
    series = classifier.predict(pd.Series(TEXTS, index=index))
    assert isinstance(series, pd.Series)
    assert series.index.equals(index)
    assert series.iloc[1] == "bad"
    assert pd.isna(series.iloc[3])
    table = classifier.predict_proba(pd.DataFrame({"text": TEXTS}, index=index))
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["bad", "good"]
    assert table.index.equals(index)
    assert isinstance(classifier.predict(pl.Series("text", TEXTS)), pl.Series)
    assert classifier.predict_proba(pl.DataFrame({"text": TEXTS})).columns == ["bad", "good"]
    assert classifier.predict(pd.Series(["good", None, pd.NA, np.nan])).isna().tolist() == [False, True, True, True]


def test_it_works_in_a_pipeline_and_with_cross_val_predict(classifier: ZeroShotClassifier) -> None:
    texts, truth = ["good"] * 4 + ["bad"] * 4, ["good"] * 4 + ["bad"] * 4
    pipeline = make_pipeline(FunctionTransformer(), classifier)
    assert cross_val_predict(pipeline, np.array(texts), truth, cv=2).tolist() == truth
    table = cross_val_predict(classifier, pd.Series(texts), truth, cv=2, method="predict_proba")
    assert (table.argmax(axis=1) == [1] * 4 + [0] * 4).all()
    assert classifier.score(texts, truth) == 1.0


def test_parameters_are_scikit_learns(classifier: ZeroShotClassifier) -> None:
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert copy.backend is classifier.backend
    assert copy.set_params(labels=["x", "y"]).fit().classes_.tolist() == ["x", "y"]
    assert "labels=['good', 'bad']" in repr(classifier)


def test_a_score_question_predicts_values_and_a_set_question_columns(tmp_path: Path) -> None:
    file = tmp_path / "book.toml"
    file.write_text(
        'name = "b"\n[[question]]\nname = "s"\nkind = "score"\nask = "How good?"\n'
        '[[question.label]]\nname = "bad"\nvalue = 0\n[[question.label]]\nname = "good"\nvalue = 2\n'
        '[[question]]\nname = "t"\nkind = "set"\nask = "Which?"\n'
        '[[question.label]]\nname = "good"\n[[question.label]]\nname = "bad"\n'
    )
    backend = ScriptedBackend(script)
    score = ZeroShotClassifier(codebook=str(file), question="s", backend=backend).fit()
    assert score.classes_.tolist() == [0.0, 2.0]
    assert score.predict(["good", "bad"]).tolist() == [2.0, 0.0]
    sets = ZeroShotClassifier(codebook=Codebook.load(file), question="t", backend=backend).fit()
    assert sets.classes_.tolist() == ["bad", "good"]
    assert sets.predict(["good bad", "good", "so so"]).tolist() == [[1, 1], [0, 1], [0, 0]]
    assert np.isnan(sets.predict([""])).all()
    with pytest.raises(InputError, match="questions s, t"):
        ZeroShotClassifier(codebook=str(file), backend=backend).fit()
    with pytest.raises(InputError, match="unknown question 'u'"):
        ZeroShotClassifier(codebook=str(file), question="u", backend=backend).fit()


def test_bad_input_says_what_to_do(classifier: ZeroShotClassifier) -> None:
    with pytest.raises(InputError, match="Give one of the two"):
        ZeroShotClassifier().fit()
    with pytest.raises(InputError, match="columns a, b"):
        classifier.predict(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(InputError, match="value 1 is int, not text"):
        classifier.predict(["x", 3])
    with pytest.raises(InputError, match="holds no texts"):
        classifier.predict("one text")
    writer = ScriptedBackend(lambda r: Completion(r.id, '{"label": "good"}'), forms=frozenset({Structured}))
    labels_only = ZeroShotClassifier(labels=["good", "bad"], backend=writer)
    assert labels_only.predict(["x"]).tolist() == ["good"]
    with pytest.raises(InputError, match="gives no probabilities"):
        labels_only.predict_proba(["x"])


@pytest.fixture(scope="module")
def real(gguf: Path) -> Iterator[ZeroShotClassifier]:
    classifier = ZeroShotClassifier(labels=["positive", "negative"], backend=f"local:{gguf}").fit()
    yield classifier
    classifier.backend_.close()


def test_predict_is_a_function_of_one_row(real: ZeroShotClassifier) -> None:
    texts = ["A joy to use.", "It broke at once.", "Arrived on Tuesday.", "Never again!"]
    together = real.predict_proba(texts)
    for i in range(len(texts)):
        # The layout as shipped has four bits a weight: half a nat is the most that batch shapes were seen to move.
        assert np.log(real.predict_proba(texts[i : i + 1])[0]) == pytest.approx(np.log(together[i]), abs=0.5)


def test_predictions_follow_the_policy_and_what_was_fitted() -> None:
    def biased(request: Request) -> Reply:
        text = request.messages[-1].content.rpartition("Text:\n")[2]
        values = {"good": 3.0 + ("good" in text), "bad": 1.5 * ("bad" in text)}
        return Scores(request.id, values, dict.fromkeys(values, 1))

    texts = ["good", "bad"] * 30
    plain, default, batch = (
        ZeroShotClassifier(["good", "bad"], backend=ScriptedBackend(biased), policy=policy)
        for policy in ("raw", "default", llmclf.Policy.load("batch"))
    )
    assert plain.fit().predict(texts[:2]).tolist() == ["good", "good"]
    assert default.fit(texts).predict(texts[:2]).tolist() == ["good", "bad"]
    assert default.decider_.policy.name == "default"
    assert batch.fit(texts).predict(texts[:2]).tolist() == ["good", "bad"]
    alone = [default.predict_proba([text])[0].tolist() for text in texts[:2]]
    assert default.predict_proba(texts)[:2].tolist() == alone
    assert ZeroShotClassifier(["good", "bad"], backend=ScriptedBackend(biased)).predict(["bad"]).tolist() == ["bad"]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_frames_go_through_the_plain_api_too(make: Any, tmp_path: Path) -> None:
    backend = ScriptedBackend(script)
    frame = make({"id": ["a", "b"], "text": ["good", None]})
    table = llmclf.annotate_frame(frame, Codebook.from_labels(["good", "bad"]), backend)
    assert type(table) is make
    assert list(table.columns)[:5] == ["item", "question", "annotator", "kind", "label"]
    assert list(table["status"]) == ["ok", "empty"]
    assert next(iter(table["label"])) == "good"
    (question,) = Codebook.from_labels(["good", "bad"]).questions
    book = Codebook(name="b", question=(question.model_copy(update={"evidence": True}),))
    written = ScriptedBackend(lambda request: Completion(request.id, '{"evidence": ["so", "good"], "label": "good"}'))
    table = llmclf.annotate_frame(frame, book, written)
    assert list(table.columns)[-3:] == ["fitted_on", "evidence", "misquoted"]
    assert [None if cell is None else list(cell) for cell in table["evidence"]] == [["so", "good"], None]
    assert list(next(iter(table["misquoted"]))) == ["so"]
    job = tmp_path / "job.sqlite"
    for answering in (written, ScriptedBackend(lambda _: pytest.fail("asked"))):  # the second time nothing is asked
        recorded = llmclf.annotate_frame(frame, book, answering, job=job)
        assert recorded.to_dict() == table.to_dict() if make is pd.DataFrame else recorded.equals(table)
    with pytest.raises(llmclf.LlmclfError, match="same id"):
        llmclf.annotate_frame(make({"id": ["a", "a"], "text": ["x", "y"]}), Codebook.from_labels(["a", "b"]), backend)
    with pytest.raises(InputError, match="no data frame"):
        llmclf.annotate_frame([1], Codebook.from_labels(["a", "b"]), backend)
