"""The verdicts, the report and the gate: what `llmclf audit` is run for."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from llmclf.annotations import Annotation, Kind, write_annotations
from llmclf.audit.report import Audit
from llmclf.backends.base import Completion, Request, Structured
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook
from llmclf.items import Item
from llmclf.job import Job

from .conftest import Cli

LABELS = ("glad", "sad")


def answers(folder: Path, errors: dict[str, float], kinds: dict[str, Kind], n: int = 200, name: str = "all.csv") -> str:
    """Have annotators label n items, each with errors of their own, and give the table's name."""
    random = Random(7)
    rows = []
    for item in range(n):
        truth = random.random() < 0.5
        for annotator, error in errors.items():
            label = LABELS[truth ^ (random.random() < error)]
            rows.append(Annotation(f"i{item}", "mood", annotator, kinds[annotator], label))
    write_annotations(folder / name, rows)
    return name


EXPERTS = {"anna": 0.08, "ben": 0.08, "cleo": 0.08}
KINDS = dict.fromkeys(EXPERTS, Kind.EXPERT) | {"good": Kind.MODEL, "bad": Kind.MODEL}


def audited(cli: Cli, *arguments: object) -> dict[str, Any]:
    run = cli("audit", *arguments, "--codebook", "mood.toml", "--json")
    assert run.code == 0, run.err
    audit = Audit.model_validate_json(run.out)
    (question,) = json.loads(audit.model_dump_json())["questions"]
    assert isinstance(question, dict)
    return question


def test_a_model_as_good_as_the_experts_is_non_inferior_and_a_poor_one_is_worse(cli: Cli, folder: Path) -> None:
    table = answers(folder, {**EXPERTS, "good": 0.05, "bad": 0.4}, KINDS)
    good, bad = audited(cli, table)["models"]
    assert good["non_inferiority"]["verdict"] == "non-inferior"
    assert good["non_inferiority"]["these_experts"]["lower"] > -0.1
    assert bad["non_inferiority"]["verdict"] == "worse"
    assert [model["holm"]["verdict"] for model in (good, bad)] == ["non-inferior", "worse"]  # each by itself
    assert bad["alternative_annotator"]["at"][0]["winning_rate"] == 0.0
    assert good["alternative_annotator"]["at"][-1]["passes"]


@pytest.mark.parametrize(
    ("gate", "code", "said"),
    [
        ("mood=non-inferior", 5, "gate mood: bad is worse"),
        ("mood=worse", 5, "gate mood: good is non-inferior"),
        ("mood=non-inferior", 0, ""),
    ],
)
def test_a_release_can_depend_on_a_verdict(cli: Cli, folder: Path, gate: str, code: int, said: str) -> None:
    models = {"good": 0.05} if gate == "mood=worse" or not said else {"good": 0.05, "bad": 0.4}
    table = answers(folder, {**EXPERTS, **models}, KINDS)
    run = cli("audit", table, "--codebook", "mood.toml", "--gate", gate)
    assert run.code == code
    assert said in run.err


@pytest.mark.parametrize(
    ("errors", "options", "verdict"),
    [
        ({"anna": 0.08, "good": 0.1}, [], "undefined"),
        ({"anna": 0.08, "ben": 0.5, "good": 0.1}, [], "humans too unreliable"),
        ({**EXPERTS, "good": 0.08}, ["--ceiling", "0.9"], "humans too unreliable"),
        ({**EXPERTS, "good": 0.11}, [], "inconclusive"),
    ],
)
def test_without_a_verdict_the_gate_is_not_passed_and_not_failed(
    cli: Cli, folder: Path, errors: dict[str, float], options: Sequence[str], verdict: str
) -> None:
    table = answers(folder, errors, KINDS, n=60)
    run = cli("audit", table, "--codebook", "mood.toml", "--gate", "mood=non-inferior", *options)
    assert run.code == 4, run.err
    assert f"gate mood: good is {verdict}" in run.err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--gate", "mood", "Write QUESTION=VERDICT"),
        ("--gate", "mod=worse", "unknown question 'mod'"),
        ("--gate", "mood=fine", "unknown verdict 'fine'"),
        ("--margin", "0", "Give the loss of agreement that still does"),
        ("--epsilon", "a", "Give them as 0.1,0.2"),
        ("--out", "all.csv", "Give --out another folder"),
    ],
)
def test_a_wrong_option_is_one_line(cli: Cli, folder: Path, option: str, value: str, said: str) -> None:
    table = answers(folder, {**EXPERTS, "good": 0.05}, KINDS, n=40)
    run = cli("audit", table, "--codebook", "mood.toml", option, value)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1


def test_each_file_of_the_report_can_be_read_alone(cli: Cli, folder: Path) -> None:
    table = answers(folder, {**EXPERTS, "good": 0.05}, KINDS)
    run = cli("audit", table, "--codebook", "mood.toml", "--out", "report")
    assert run.code == 0, run.err
    html = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "-0.00" not in html
    assert html.count("<section id=") == 12  # the verdicts and eleven sections
    for svg in html.split("<svg")[1:]:
        ET.fromstring("<svg" + svg.partition("</svg>")[0] + "</svg>")
    document = Audit.model_validate_json((folder / "report" / "report.json").read_text(encoding="utf-8"))
    (model,) = document.questions[0].models
    assert model.non_inferiority.verdict == "non-inferior"
    assert [(source.name, source.n_annotations) for source in document.sources] == [("all.csv", 800)]
    schema = json.loads((folder / "report" / "report.schema.json").read_text(encoding="utf-8"))
    assert {"undefined", "value"} <= {name for part in schema["$defs"].values() for name in part.get("properties", {})}
    markdown = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "Agreement of two annotators is Cohen's kappa" in markdown
    assert "good may stand in for one of these 3 experts in 1 of 1 question" in markdown


def test_a_job_is_audited_as_it_is_and_each_disagreement_has_its_record(cli: Cli, folder: Path) -> None:
    book = Codebook.load(folder / "mood.toml")

    def say(request: Request) -> Completion:
        return Completion(request.id, '{"label": "glad"}')

    job = Job(folder / "job.sqlite", book, ScriptedBackend(say, name="m", forms=frozenset({Structured})))
    for _ in job.run(Item(f"i{n}", text=f"so it went, number {n}") for n in range(4)):
        pass
    job.close()
    (folder / "people.csv").write_text(
        "item,annotator,label\n" + "".join(f"i{n},{who},sad\n" for n in range(4) for who in "ab")
    )
    run = cli("audit", "job.sqlite", "people.csv", "--kind", "expert", "--codebook", "mood.toml", "--out", "report")
    assert run.code == 0, run.err
    document = Audit.model_validate_json((folder / "report" / "report.json").read_text(encoding="utf-8"))
    (plan,) = document.plans
    assert (plan.job, plan.annotator, plan.model["engine"]) == ("job.sqlite", "m", "scripted")
    worst = document.questions[0].models[0].worst_items[0]
    assert worst.labels == {"a": "sad", "b": "sad"}
    (record,) = worst.records
    assert record.reply == '{"label": "glad"}'
    assert any("so it went, number" in text for _, text in record.prompt)
    html = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "so it went, number" in html


def test_a_job_of_two_codebooks_is_audited_by_the_one_that_is_asked_for(cli: Cli, folder: Path) -> None:
    def say(request: Request) -> Completion:
        assert isinstance(request.form, Structured)
        return Completion(request.id, '{"label": "glad"}' if "glad" in request.form.schema else '{"label": "cat"}')

    for book in (Codebook.load(folder / "mood.toml"), Codebook.from_labels(["cat", "dog"])):
        job = Job(folder / "job.sqlite", book, ScriptedBackend(say, name="m", forms=frozenset({Structured})))
        for _ in job.run([Item("i0", text="a text"), Item("i1", text="another")]):
            pass
        job.close()
    (folder / "people.csv").write_text("item,annotator,label\ni0,a,glad\ni1,a,sad\n")
    run = cli("audit", "job.sqlite", "people.csv", "--kind", "expert", "--codebook", "mood.toml")
    assert run.code == 0, run.err
    assert "is not in this codebook" in " ".join(run.out.split())
    assert run.out.count("m may stand in") + run.out.count("m: no verdict") == 1


def test_plans_of_one_model_in_a_job_are_prompts_whose_answers_are_compared(cli: Cli, folder: Path) -> None:
    def say(request: Request) -> Completion:
        is_other = "Is the writer" in "".join(message.content for message in request.messages)
        return Completion(request.id, json.dumps({"label": "sad" if is_other else "glad"}))

    text = (folder / "mood.toml").read_text()
    (folder / "other.toml").write_text(text.replace("How does the writer feel?", "Is the writer glad or sad?"))
    for book in ("mood.toml", "other.toml"):
        backend = ScriptedBackend(say, name="m", forms=frozenset({Structured}))
        job = Job(folder / "job.sqlite", Codebook.load(folder / book), backend)
        for _ in job.run(Item(f"i{n}", text=f"text {n}") for n in range(4)):
            pass
        job.close()
    (folder / "people.csv").write_text("item,annotator,label\n" + "".join(f"i{n},a,glad\n" for n in range(4)))
    run = cli("audit", "job.sqlite", "--expert", "people.csv", "--codebook", "mood.toml", "--json")
    assert run.code == 0, run.err
    (model,) = json.loads(run.out)["questions"][0]["models"]
    assert model["label_shares"] == {"glad": 1.0, "sad": 0.0}  # by the first plan
    assert model["stability"]["n_prompts"] == 2
    assert model["stability"]["flip_rate_of_prompts"]["value"] == 1.0


def test_repeats_by_prompt_and_run_tell_how_stable_a_model_is(cli: Cli, folder: Path) -> None:
    random = Random(3)
    rows = ["item,annotator,kind,label,prompt,run"]
    for item in range(60):
        truth = random.random() < 0.5
        rows += [f"i{item},{who},expert,{LABELS[truth]},," for who in ("anna", "ben")]
        for prompt in ("short", "long"):
            for run in (1, 2):
                flipped = random.random() < (0.3 if prompt == "long" else 0.0)
                rows.append(f"i{item},m,model,{LABELS[truth ^ flipped]},{prompt},{run}")
    (folder / "all.csv").write_text("\n".join(rows) + "\n")
    (model,) = audited(cli, "all.csv")["models"]
    assert model["non_inferiority"]["comparison"]["agreement"]["value"] == 1.0  # the first prompt and run count
    stability = model["stability"]
    assert (stability["n_prompts"], stability["n_runs"]) == (2, 2)
    assert 0.1 < stability["flip_rate_of_runs"]["value"] < 0.35
    assert 0.2 < stability["flip_rate_of_prompts"]["value"] < 0.4
    names = {component["name"] for component in stability["components"]["components"]}
    assert len(names) == 4


def test_a_probability_sample_of_expert_labels_corrects_what_the_model_says(cli: Cli, folder: Path) -> None:
    random = Random(5)
    rows = ["item,annotator,kind,label,sampling_probability"]
    for item in range(2000):
        truth = random.random() < 0.3
        said = truth or random.random() < 0.3  # the model says too often what is LABELS[1]
        rows.append(f"i{item},m,model,{LABELS[said]},")
        expert = LABELS[truth] if random.random() < 0.2 else ""
        rows.append(f"i{item},anna,expert,{expert},0.2")
    (folder / "all.csv").write_text("\n".join(rows) + "\n")
    (model,) = audited(cli, "all.csv")["models"]
    sad = model["corrected"]["prevalence"]["sad"]
    assert sad["uncorrected"]["value"] > 0.45
    for method in ("design_supervised", "prediction_powered"):
        assert sad[method]["low"] < 0.3 < sad[method]["high"]


@pytest.mark.parametrize(("cell", "said"), [("1.5", "is no sampling probability"), ("x", "is no sampling probability")])
def test_what_is_no_sampling_probability_is_refused(cli: Cli, folder: Path, cell: str, said: str) -> None:
    (folder / "all.csv").write_text(
        f"item,annotator,kind,label,sampling_probability\n1,m,model,glad,\n1,a,expert,sad,{cell}\n"
    )
    run = cli("audit", "all.csv", "--codebook", "mood.toml")
    assert run.code == 2
    assert f"all.csv: row 2: '{cell}' {said}" in run.err


def test_without_a_probability_sample_nothing_is_corrected_and_it_is_said(cli: Cli, folder: Path) -> None:
    (folder / "all.csv").write_text(
        "item,annotator,kind,label,sampling_probability\n"
        + "".join(f"{n},m,model,glad,\n{n},a,expert,sad,1.0\n" for n in range(5))
    )
    (model,) = audited(cli, "all.csv")["models"]
    assert "undefined" in model["corrected"]


def test_a_model_that_leaves_out_what_is_hard_is_held_against_experts_on_the_rest(cli: Cli, folder: Path) -> None:
    random = Random(11)
    rows = ["item,annotator,kind,label"]
    for item in range(200):
        is_easy = item < 100
        truth = random.random() < 0.5
        rows += [f"i{item},{who},expert,{LABELS[truth if is_easy else random.random() < 0.5]}" for who in EXPERTS]
        said = LABELS[truth ^ (random.random() < 0.15)] if is_easy else ""
        rows.append(f"i{item},m,model,{said}")
    (folder / "all.csv").write_text("\n".join(rows) + "\n")
    question = audited(cli, "all.csv")
    found = question["models"][0]["non_inferiority"]
    assert found["comparison"]["reference"]["value"] == 1.0
    assert found["verdict"] != "non-inferior"
    assert "m has a label for 100 of the 200 items" in question["warnings"][0]


def test_a_crowd_says_how_many_of_its_workers_the_model_is_worth(cli: Cli, folder: Path) -> None:
    crowd = {f"w{n}": 0.3 for n in range(7)}
    kinds = KINDS | dict.fromkeys(crowd, Kind.CROWD)
    table = answers(folder, {**EXPERTS, **crowd, "good": 0.05, "bad": 0.45}, kinds)
    good, bad = audited(cli, table)["models"]
    assert good["crowd_worth"]["workers"]["bound"] == "at least"
    assert good["crowd_worth"]["answer"] == "reference"  # an expert's, and not another worker's
    assert bad["crowd_worth"]["workers"] == {"number": 1.0, "bound": "fewer than"}
    assert good["above_crowd"]["difference"]["low"] > 0
    assert bad["above_crowd"]["difference"]["high"] < 0


def test_probabilities_are_held_against_the_experts(cli: Cli, folder: Path) -> None:
    random = Random(9)
    rows = []
    for item in range(400):
        p = random.random()
        truth = random.random() < p
        label = LABELS[p > 0.5]
        rows.append(
            Annotation(
                f"i{item}", "mood", "m", Kind.MODEL, label, max(p, 1 - p), {"glad": 1 - p, "sad": p}, "likelihoods"
            )
        )
        rows += [Annotation(f"i{item}", "mood", who, Kind.EXPERT, LABELS[truth]) for who in ("anna", "ben")]
    write_annotations(folder / "all.csv", rows)
    (model,) = audited(cli, "all.csv")["models"]
    calibration = model["calibration"]
    assert calibration["origins"] == ["likelihoods"]
    assert calibration["expected_calibration_error"]["value"] < 0.08
    assert calibration["brier_score"]["value"] == pytest.approx(1 / 3, abs=0.05)
    curve = calibration["risk_coverage"]["curve"]
    assert curve[0]["risk"] < curve[-1]["risk"]


def test_texts_of_a_public_data_set_are_known(cli: Cli, folder: Path) -> None:
    from llmclf.audit.public_data import sampled_hash

    texts = [text for n in range(2000) if sampled_hash(text := f"number {n} of these made up sentences")]
    assert len(texts) > 50
    (folder / "items.csv").write_text("id,text\n" + "".join(f"i{n},{text}\n" for n, text in enumerate(texts)))
    table = answers(folder, {**EXPERTS, "good": 0.05}, KINDS, n=40)
    run = cli("audit", table, "--codebook", "mood.toml", "--items", "items.csv")
    assert "public data set" not in run.out
