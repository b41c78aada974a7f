import hashlib
from pathlib import Path

import pytest
from rich.cells import cell_len

from evals import empathy, empathy_data, empathy_label
from llmclf.agreement import Coefficient, Estimate, Undefined
from llmclf.annotations import Annotation, Kind, read_annotations
from llmclf.backends.base import Failure, Likelihoods, Reply, Request, Scores
from llmclf.backends.recorded import ScriptedBackend
from llmclf.status import Status
from tests.evals.test_empathy import needs_data


def answer(request: Request) -> Reply:
    """Prefer a label that the messages' hash picks; one request in 32 is too long."""
    assert isinstance(request.form, Likelihoods)
    digest = hashlib.sha256("".join(message.content for message in request.messages).encode()).digest()
    if digest[0] % 32 == 0:
        return Failure(request.id, Status.TOO_LONG, "too long")
    labels = request.form.labels
    scores = {label: -1.0 - (place - digest[1]) % len(labels) for place, label in enumerate(labels)}
    return Scores(request.id, scores, dict.fromkeys(labels, 1))


def value(coefficient: Coefficient) -> float:
    assert isinstance(coefficient, Estimate)
    return coefficient.value


@needs_data
def test_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    monkeypatch.setattr(empathy_label, "open_backend", lambda _: ScriptedBackend(answer))
    out, job = tmp_path / "labels.csv", tmp_path / "new folder" / "job.sqlite"
    command = ["label", "--backend", "scripted", "--out", str(out), "--job", str(job)]
    assert empathy.main(command) == 3, "some have no label"
    first = capsys.readouterr()
    assert "labelling 600/600" in first.err
    assert "600 requests asked, 0 answered from the record" in first.out
    assert max(map(cell_len, first.out.splitlines()[:-1])) <= 80

    assert empathy.main(command) == 3
    again = capsys.readouterr().out
    assert "0 requests asked, 600 answered from the record" in again
    assert again.splitlines()[:-1] == first.out.splitlines()[:-1]

    annotations = [annotation for _, annotation in read_annotations(out)]
    assert len(annotations) == 600
    failed = [annotation for annotation in annotations if annotation.status is Status.TOO_LONG]
    assert failed
    assert all(annotation.label is None for annotation in failed)
    comparisons = empathy_label.compare(annotations)
    assert len(comparisons) == 12
    for c in comparisons:
        labels = {a.item: str(a.label) for a in annotations if a.question == c.dimension and a.label is not None}
        assert c.statuses == {Status.OK: len(labels), Status.TOO_LONG: 50 - len(labels)} or len(labels) == 50
        scale = empathy_data.FRAMEWORKS[c.framework].scale
        rated = empathy_label.rated(empathy_data.ratings(c.framework), c.dimension)
        median = {item: str(int(v)) for (item, who), v in rated.items() if who == "experts" and v is not None}

        def kappa(codes: dict[str, str], scale: tuple[str, ...] = scale, median: dict[str, str] = median) -> float:
            pairs = [(median[item], code) for item, code in codes.items()]
            return float(metrics.cohen_kappa_score(*zip(*pairs, strict=True), weights="quadratic", labels=scale))

        assert value(c.model) == pytest.approx(kappa(labels))
        assert isinstance(c.model, Estimate)
        assert c.model.n_items == len(labels)
        for name in ("gemini", "gpt", "claude"):
            theirs = {item: str(int(v)) for (item, who), v in rated.items() if who == name and v is not None}
            assert value(c.others[name]) == pytest.approx(kappa(theirs))


def annotate_all(code: int | None) -> list[Annotation]:
    """Give every conversation the label at that place of its scale, or none."""
    by_framework = empathy_data.conversations()
    return [
        Annotation(item, dimension, "model", Kind.MODEL, None if code is None else framework.scale[code])
        for name in empathy_label.CODEBOOKS
        for framework in [empathy_data.FRAMEWORKS[name]]
        for dimension in framework.dimensions
        for item, _ in by_framework[name]
    ]


@needs_data
def test_one_label_for_all_is_no_agreement_and_has_no_interval() -> None:
    for comparison in empathy_label.compare(annotate_all(-1)):
        assert value(comparison.model) == pytest.approx(0)
        assert isinstance(comparison.model, Estimate)
        assert comparison.model.low is None


@needs_data
def test_published_raters_where_every_level_occurs() -> None:
    """Then weights by places among the values that occur, as published, are weights by value."""
    published = {p.pair: p.kappa for p in empathy_data.published() if p.dimension == "empathy"}
    (found,) = (c for c in empathy_label.compare(annotate_all(None)) if c.dimension == "empathy")
    assert isinstance(found.model, Undefined)
    assert round(value(found.others["gemini"]), 2) == published["experts", "llm"]
    pairs = [("expert1", "expert2"), ("expert2", "expert3"), ("expert3", "expert1")]
    assert round(found.experts, 2) == sorted(published[pair] for pair in pairs)[1]
