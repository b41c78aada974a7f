"""What an audit takes from a job that holds more than plain answers about a table."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from llmclf.agreement import Estimate
from llmclf.annotations import Annotation, FittedOn, Kind, write_annotations
from llmclf.audit.compare import audit
from llmclf.audit.report import Audit, ModelAudit
from llmclf.audit.report_page import report_page
from llmclf.audit.sources import Sources
from llmclf.backends.base import Likelihoods, Reply, Request, Scores
from llmclf.backends.recorded import ScriptedBackend
from llmclf.cli.reading import read_one_model
from llmclf.codebook import Codebook
from llmclf.item_sample import ItemSample
from llmclf.items import ItemTable
from llmclf.job import Job
from llmclf.policy import POLICIES, RAW, Policy
from llmclf.stability.measures import stability_ways
from llmclf.variants import Variant

BOOK = Codebook.from_labels(["glad", "sad"])
QUESTION = BOOK.questions[0].name
N = 12


def swayed(request: Request) -> Reply:
    """Prefer the label that is listed first, but for texts with an odd number, which are glad."""
    assert isinstance(request.form, Likelihoods)
    text = request.messages[-1].parts[-1]
    is_odd = text[-1].isdigit() and int(text[-1]) % 2 == 1
    best = "glad" if is_odd else request.form.labels[0]
    values = {label: 0.0 if label == best else -1.0 for label in request.form.labels}
    return Scores(request.id, values, dict.fromkeys(values, 1))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("id,text\n" + "".join(f"i{n},text {n}\n" for n in range(N)))
    (tmp_path / "people.csv").write_text(
        "item,annotator,label\n" + "".join(f"i{n},{who},{'glad' if n else 'sad'}\n" for n in range(N) for who in "ab")
    )
    return path


def ask(table: Path, policy: Policy = RAW, ways: Iterable[Variant] = (), size: int = N) -> Path:
    path = table.parent / "job.sqlite"
    backend = ScriptedBackend(swayed, name="m", forms=frozenset({Likelihoods}))
    job = Job(path, BOOK, backend, policy=policy, variants=tuple(ways))
    for _ in job.run_table(ItemTable(table) if size == N else ItemSample(table, size=size)):
        pass
    job.close()
    return path


def audited(folder: Path, model: Path) -> tuple[Audit, ModelAudit]:
    with Sources() as sources:
        files = [(model, Kind.MODEL), (folder / "people.csv", Kind.EXPERT)]
        found = audit(sources.annotations(files), BOOK, record=sources.record, changes=sources.changes)
        found = found.model_copy(update={"plans": sources.plans, "sources": sources.read})
    (answers,) = found.questions[0].models
    return found, answers


def words(found: Audit, section: str) -> str:
    (one,) = (one for one in report_page(found).sections if one.id == section)
    return repr(one)


def test_other_ways_and_texts_that_say_nothing_are_neither_items_nor_annotators(table: Path) -> None:
    path = ask(table, POLICIES["content-free"])
    ask(table, ways=stability_ways(2, 2, codes=True), size=5)
    found, model = audited(table.parent, path)
    assert found.questions[0].n_items == N
    assert model.statuses == {"ok": N}
    assert [source.n_annotations for source in found.sources] == [N, 2 * N]
    assert model.stability is None  # one plan is about the table
    assert [(change.kind, change.n_items) for change in model.changes] == [("repeat", 5), ("order", 5), ("codes", 5)]
    (plan,) = found.plans
    assert (plan.policy, plan.ways) == ("content-free", ["plain", "repeat 1", "order 1", "codes"])
    one = read_one_model(BOOK, BOOK.questions[0], path)
    assert len(one.by_item) == N


def test_a_job_whose_policy_asks_in_several_orders_has_its_stability_measured(table: Path) -> None:
    found, model = audited(table.parent, ask(table, Policy(name="two", orders=2)))
    (order,) = model.changes
    assert (order.kind, order.n_flipped, order.n_items) == ("order", 6, N)
    assert isinstance(order.flip_rate, Estimate)
    assert order.flip_rate.value == 0.5
    section = words(found, "stability")
    assert "label order" in section
    assert "Variance components of one answer" in section
    assert "asked once" not in section


def test_without_another_way_the_report_says_how_to_have_one(table: Path) -> None:
    found, model = audited(table.parent, ask(table))
    assert model.changes == []
    assert "Each model was asked once, in one way" in words(found, "stability")


# Policies fitted to labelled examples


def labelled(folder: Path, fitted_on: FittedOn, count: int) -> Path:
    """Write a model's labels, right on the examples that its policy was fitted to, and wrong elsewhere."""
    path = folder / "labels.csv"
    truth = ["glad" if n else "sad" for n in range(N)]
    write_annotations(
        path,
        [
            Annotation(
                f"i{n}",
                QUESTION,
                "m",
                Kind.MODEL,
                truth[n] if n < count else "sad",
                probability=0.9,
                probabilities={"glad": 0.9, "sad": 0.1},
                fitted_on=fitted_on if n < count else None,
            )
            for n in range(N)
        ],
    )
    return path


def test_answers_fitted_to_an_items_own_label_are_left_out_of_all_comparisons(table: Path) -> None:
    found, model = audited(table.parent, labelled(table.parent, "itself", 8))
    assert model.fitted_on == {"itself": 8}
    assert [one.n_items for one in model.against] == [N - 8] * 2
    assert isinstance(agreement := model.against[0].coefficients["percent_agreement"], Estimate)
    assert agreement.value == 0.0  # by the examples it would be two thirds
    assert getattr(model.calibration, "n_items", None) == N - 8
    assert {item.item for item in model.worst_items} == {f"i{n}" for n in range(8, N)}
    (warning,) = (one for one in found.questions[0].warnings if "left out" in one)
    assert "8 answers of m are left out of all comparisons with people" in warning
    assert not any("see its statuses" in one for one in found.questions[0].warnings)
    assert "8 answers of m are left out" in words(found, "design")


def test_answers_fitted_to_other_examples_are_compared_and_counted(table: Path) -> None:
    found, model = audited(table.parent, labelled(table.parent, "others", 8))
    assert model.fitted_on == {"others": 8}
    assert [one.n_items for one in model.against] == [N] * 2
    assert not any("left out" in one for one in found.questions[0].warnings)
    assert "8 answers of m about labelled examples are compared with people" in words(found, "design")


def test_a_model_all_of_whose_answers_are_fitted_has_no_verdict(table: Path) -> None:
    found, model = audited(table.parent, labelled(table.parent, "itself", N))
    assert model.non_inferiority.verdict == "undefined"
    assert [one.n_items for one in model.against] == [0, 0]
    assert any(f"{N} answers of m are left out" in one for one in found.questions[0].warnings)
