import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf import classifier
from llmclf.annotations import Annotation, Kind, read_annotations, write_annotations
from llmclf.backends.base import (
    Backend,
    Completion,
    Failure,
    Identity,
    Likelihoods,
    Message,
    Reply,
    Request,
    Scores,
    Structured,
)
from llmclf.backends.recorded import RecordedBackend, ScriptedBackend
from llmclf.classifier import annotate
from llmclf.codebook import Codebook, Label, Question
from llmclf.errors import BackendError, InputError, PromptError
from llmclf.items import Item, Turn, read_items
from llmclf.status import Status
from llmclf.store import Store

from .backends.test_recorded import WindowBackend, committed

CHOICE = Question(
    name="tone", kind="choice", ask="Which tone?", cue="It is", label=(Label(name="up"), Label(name="down"))
)
SCORE = Question(
    name="stars", kind="score", ask="How many?", label=(Label(name="none", value=0), Label(name="one", value=1))
)
SET = Question(name="topics", kind="set", ask="Which apply?", label=(Label(name="price"), Label(name="size")))
BOOK = Codebook(name="b", question=(CHOICE, SCORE, SET))
ONE_QUESTION = Codebook(name="b", question=(CHOICE,))


def user_words(request: Request) -> tuple[str, str]:
    """Give what was asked, and the item."""
    head, text = next(message for message in request.messages if message.role == "user").parts
    return head, text


def score(request: Request) -> Reply:
    """Find a label likely that stands in the text; of a set, a label that stands in the text applies."""
    head, text = user_words(request)
    if text.startswith("fail "):
        return Failure(request.id, Status(text.split()[1]), "as the text says")
    assert isinstance(request.form, Likelihoods)
    said = text.split()
    if request.form.labels == ("yes", "no"):
        (label,) = (label.name for label in SET.labels if f"- {label.name}\n" in head)
        said = ["yes" if label in said else "no"]
    values = {label: 0.0 if label in said else -3.0 for label in request.form.labels}
    return Scores(request.id, values, dict.fromkeys(values, 1))


def write(request: Request) -> Reply:
    """Do the same in JSON."""
    head, text = user_words(request)
    assert isinstance(request.form, Structured)
    assert request.form.schema in head
    question = next(question for question in BOOK.questions if head.startswith(question.ask))
    named: list[str] = [label.name for label in question.labels if label.name in text.split()]
    return Completion(request.id, json.dumps({"label": named if question.kind == "set" else (named or ["?"])[0]}))


def labels(annotations: Iterable[Annotation]) -> list[tuple[str, str, object]]:
    return [(a.item, a.question, a.status if a.label is None else a.label) for a in annotations]


WORDS = st.lists(st.sampled_from(["up", "down", "none", "one", "price", "size", "and"]), min_size=1, max_size=6).map(
    " ".join
)
TEXTS = WORDS | st.sampled_from(["", "  ", "caf\udce9", "fail timeout", "fail refused"])


def expected(item: Item) -> Iterator[tuple[str, str, object]]:
    said = item.text.split()
    for question in BOOK.questions:
        named = [label.code for label in question.labels if label.name in said]
        if item.problem:
            yield item.id, question.name, item.problem
        elif said[0] == "fail":
            yield item.id, question.name, Status(said[1])
        elif question.kind == "set":
            yield item.id, question.name, tuple(named)
        else:  # both or neither are equally likely, and the first is taken
            yield item.id, question.name, (named or question.codes)[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, max_size=12), st.integers(1, 20), st.integers(1, 20), st.integers())
def test_each_question_about_each_item_is_answered_in_order(
    texts: list[str], window: int, most_waiting: int, seed: int
) -> None:
    items = [Item(f"item {number}", text=text) for number, text in enumerate(texts)]
    backend = WindowBackend(score, window=window, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "_MOST_WAITING", most_waiting)
        annotations = list(annotate(iter(items), BOOK, backend))
    assert labels(annotations) == [line for item in items for line in expected(item)]
    assert {(a.annotator, a.kind) for a in annotations} <= {("scripted", Kind.MODEL)}


def test_an_answer_has_its_probabilities() -> None:
    tone, stars, topics = annotate([Item("1", text="down one size")], BOOK, ScriptedBackend(score))
    assert tone.probability == pytest.approx(1 / (1 + 2.718281828**-3))
    assert tone.probabilities == pytest.approx({"up": 1 - 0.952574, "down": 0.952574}, abs=1e-6)
    assert stars.probabilities == pytest.approx({"0": 1 - 0.952574, "1": 0.952574}, abs=1e-6)
    assert topics.probabilities == pytest.approx({"price": 1 - 0.952574, "size": 0.952574}, abs=1e-6)
    assert topics.probability == pytest.approx(0.952574**2, abs=1e-6)


def test_likelihoods_are_asked_a_question_and_of_a_set_a_label() -> None:
    backend = WindowBackend(score)
    list(annotate([Item("1", text="up")], BOOK, backend, replicate=3))
    assert [request.form for request in backend.asked] == [
        Likelihoods(("up", "down")),
        Likelihoods(("none", "one")),
        Likelihoods(("yes", "no")),
        Likelihoods(("yes", "no")),
    ]
    assert [request.messages[-1].role for request in backend.asked] == ["assistant", "user", "user", "user"]
    assert len({request.id for request in backend.asked}) == 4
    assert {request.replicate for request in backend.asked} == {3}


def test_what_gives_no_likelihoods_is_asked_for_json_once_a_question() -> None:
    backend = WindowBackend(write)
    backend.forms = frozenset({Structured})
    items = [Item("1", text="down one size"), Item("2", text="nothing"), Item("3", text=" ")]
    annotations = list(annotate(items, BOOK, backend))
    assert labels(annotations) == [
        ("1", "tone", "down"),
        ("1", "stars", "1"),
        ("1", "topics", ("size",)),
        ("2", "tone", Status.WRONG_LABEL),
        ("2", "stars", Status.WRONG_LABEL),
        ("2", "topics", ()),
        *[("3", question.name, Status.EMPTY) for question in BOOK.questions],
    ]
    assert {(a.probability, len(a.probabilities)) for a in annotations} == {(None, 0)}
    assert len(backend.asked) == 6 + 2, "two cannot be read, and are asked again"


def corrected(request: Request) -> Reply:
    """Say what there is no such label for, and mend it only when told."""
    _, text = user_words(request)
    is_told = request.messages[-1].content.startswith("That reply cannot be used")
    said = "up" if is_told and text != "stubborn" else "sideways"
    return Completion(request.id, json.dumps({"label": said}))


def sampler(script: Callable[[Request], Reply], temperature: float | None = 1.0) -> WindowBackend:
    """Give a backend that writes, at a temperature."""
    backend = WindowBackend(script)
    backend.forms = frozenset({Structured})
    backend.identity = Identity({"engine": "scripted"}, {"temperature": temperature})
    return backend


def vary(request: Request) -> Reply:
    """Say `down`, and every third time `up`; every fourth time, nothing."""
    if request.replicate % 4 == 3:
        return Failure(request.id, Status.TIMEOUT, "")
    return Completion(request.id, json.dumps({"label": "up" if request.replicate % 3 == 2 else "down"}))


def test_each_sample_is_a_replicate_and_probabilities_are_their_shares() -> None:
    backend = sampler(vary)
    items = [Item("1", text="one"), Item("2", text=""), Item("3", text="three")]
    first, empty, third = annotate(items, ONE_QUESTION, backend, samples=5)
    assert (first.label, first.probability, first.origin, first.samples) == ("down", 0.75, "samples", 4)
    assert first.probabilities == third.probabilities == {"up": 0.25, "down": 0.75}
    assert (empty.status, empty.origin, empty.samples) == (Status.EMPTY, None, None)
    assert Counter(request.replicate for request in backend.asked) == dict.fromkeys(range(5), 2)
    assert len({request.id for request in backend.asked}) == 10
    (other,) = annotate(items[:1], ONE_QUESTION, backend, replicate=2, samples=3)
    assert sorted(request.replicate for request in backend.asked[10:]) == [2, 3, 4]
    assert (other.label, other.samples) == ("up", 2), "one of each, and the earlier counts"


def test_more_samples_ask_only_for_those_that_are_missing(tmp_path: Path) -> None:
    backend = sampler(lambda request: Completion(request.id, '{"label": "up"}'))
    for samples, asked in [(2, 2), (5, 5), (3, 5)]:
        recorded = RecordedBackend(backend, Store(tmp_path / "job.sqlite"))
        (annotation,) = annotate([Item("1", text="one")], ONE_QUESTION, recorded, samples=samples)
        recorded.close()
        assert (annotation.samples, len(backend.asked)) == (samples, asked)


def test_each_sample_that_cannot_be_read_is_asked_again() -> None:
    backend = sampler(corrected)
    (annotation,) = annotate([Item("1", text="one")], ONE_QUESTION, backend, samples=3)
    assert (annotation.label, annotation.samples, len(backend.asked)) == ("up", 3, 6)


@pytest.mark.parametrize(
    ("backend", "samples", "said"),
    [
        (ScriptedBackend(score), 2, "scripted gives those of all labels a probability. Ask once"),
        (sampler(vary, 0.0), 2, "at temperature 0 all samples of scripted would be the same. Give the setting"),
        (sampler(vary), 0, "samples is 0"),
    ],
)
def test_samples_that_would_tell_nothing_are_refused(backend: Backend, samples: int, said: str) -> None:
    items = Pulled(["up"])
    with pytest.raises(InputError, match=said):
        next(annotate(items, ONE_QUESTION, backend, samples=samples))
    assert items.count == 0


def test_a_temperature_that_is_left_to_the_server_gives_samples() -> None:
    (annotation,) = annotate([Item("1", text="one")], ONE_QUESTION, sampler(vary, None), samples=3)
    assert annotation.samples == 3


def test_a_reply_that_cannot_be_read_is_asked_again_with_the_reason() -> None:
    backend = WindowBackend(corrected)
    backend.forms = frozenset({Structured})
    items = [Item("1", text="one"), Item("2", text="stubborn"), Item("3", text="three")]
    assert labels(annotate(items, ONE_QUESTION, backend)) == [
        ("1", "tone", "up"),
        ("2", "tone", Status.WRONG_LABEL),
        ("3", "tone", "up"),
    ]
    assert len(backend.asked) == 6
    first = next(request for request in backend.asked if len(request.messages) > 1)
    assert [message.role for message in first.messages] == ["user", "assistant", "user"]
    assert first.messages[1].content == '{"label": "sideways"}'
    assert "unknown label 'sideways': known are 'up', 'down'" in first.messages[2].content


@pytest.mark.parametrize(("times", "asked"), [(0, 1), (1, 2), (3, 4)])
def test_a_reply_is_asked_again_a_set_number_of_times(times: int, asked: int) -> None:
    backend = WindowBackend(corrected)
    backend.forms = frozenset({Structured})
    (annotation,) = annotate([Item("2", text="stubborn")], ONE_QUESTION, backend, re_ask=times)
    assert annotation.status is Status.WRONG_LABEL
    assert len(backend.asked) == asked


def test_what_was_asked_again_is_found_on_record(tmp_path: Path) -> None:
    backend = WindowBackend(corrected)
    backend.forms = frozenset({Structured})
    for _ in range(2):
        recorded = RecordedBackend(backend, Store(tmp_path / "job.sqlite"))
        (annotation,) = annotate([Item("1", text="one")], ONE_QUESTION, recorded)
        assert annotation.label == "up"
        recorded.close()
    assert len(backend.asked) == 2


REASONED = Codebook(
    name="b",
    question=(
        CHOICE.model_copy(update={"rationale": True}),
        SCORE,
        SET.model_copy(update={"evidence": True}),
    ),
)


def reason(request: Request) -> Reply:
    """Score where scores are asked for; write the reasons that the schema has, with one quote that is made up."""
    if isinstance(request.form, Likelihoods):
        return score(request)
    assert isinstance(request.form, Structured)
    head, text = user_words(request)
    names = list(json.loads(request.form.schema)["properties"])
    reasons = {"rationale": f"It says: {text}", "evidence": [*text.split(), "made up"]}
    said: dict[str, object] = {name: reasons[name] for name in names[:-1]}
    reply = write(Request(request.id, (Message("user", (head, text)),), request.form))
    assert isinstance(reply, Completion)
    return Completion(request.id, json.dumps(said | json.loads(reply.text)))


def test_a_question_with_reasons_is_answered_in_words_and_the_others_as_ever() -> None:
    backend = WindowBackend(reason)
    items = [Item("1", text="down one size"), Item("2", text=" "), Item("3", text="nothing")]
    annotations = list(annotate(items, REASONED, backend, re_ask=0))
    assert labels(annotations) == [
        ("1", "tone", "down"),
        ("1", "stars", "1"),
        ("1", "topics", ("size",)),
        *[("2", question.name, Status.EMPTY) for question in BOOK.questions],
        ("3", "tone", Status.WRONG_LABEL),
        ("3", "stars", "0"),
        ("3", "topics", ()),
    ]
    tone, stars, topics = annotations[:3]
    assert (tone.rationale, tone.evidence, tone.probability) == ("It says: down one size", (), None)
    assert (stars.rationale, stars.evidence, stars.misquoted) == ("", (), ())
    assert stars.probabilities == pytest.approx({"0": 1 - 0.952574, "1": 0.952574}, abs=1e-6)
    assert (topics.rationale, topics.probability) == ("", None)
    assert (topics.evidence, topics.misquoted) == (("down", "one", "size", "made up"), ("made up",))
    assert [type(request.form) for request in sorted(backend.asked, key=lambda request: request.id)] == [
        Structured,
        Likelihoods,
        Structured,
    ] * 2


def test_a_quote_from_another_item_is_a_misquote() -> None:
    def script(request: Request) -> Reply:
        return Completion(request.id, '{"evidence": ["B: up", "first"], "label": "up"}')

    book = Codebook(name="b", unit="conversation", question=(CHOICE.model_copy(update={"evidence": True}),))
    items = [Item("1", turns=(Turn("A", "first"), Turn("B", "up"))), Item("2", turns=(Turn("A", "B: up"),))]
    first, second = annotate(items, book, ScriptedBackend(script))
    assert first.evidence == second.evidence == ("B: up", "first")
    assert (first.misquoted, second.misquoted) == ((), ("first",))


@pytest.mark.parametrize(("name", "asked"), [("tone", "rationale"), ("topics", "evidence and rationale")])
def test_a_backend_that_writes_nothing_is_an_error_before_anything_is_asked(name: str, asked: str) -> None:
    reasons = dict.fromkeys(asked.split(" and "), True)
    questions = [q.model_copy(update=reasons) if q.name == name else q for q in BOOK.questions]
    backend = WindowBackend(score)
    backend.forms = frozenset({Likelihoods})
    items = Pulled(["up"])
    with pytest.raises(InputError, match=f"question '{name}' asks for {asked}, and scripted writes none. Use a back"):
        next(annotate(items, Codebook(name="b", question=tuple(questions)), backend))
    assert (backend.runs, items.count) == (0, 0)


def test_items_with_a_problem_are_not_asked_about() -> None:
    backend = WindowBackend(score)
    items = [
        Item("1", text=""),
        Item("2", text="caf\udce9"),
        Item("1", text="up", problem=Status.DUPLICATE_ID),
        Item("3", text="down"),
    ]
    assert labels(annotate(items, ONE_QUESTION, backend)) == [
        ("1", "tone", Status.EMPTY),
        ("2", "tone", Status.BAD_ENCODING),
        ("1", "tone", Status.DUPLICATE_ID),
        ("3", "tone", "down"),
    ]
    assert [user_words(request)[1] for request in backend.asked] == ["down"]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_failure_is_a_status_and_the_others_go_on(status: Status) -> None:
    items = [Item("1", text=f"fail {status}"), Item("2", text="down")]
    failed, fine = annotate(items, ONE_QUESTION, ScriptedBackend(score))
    assert failed == Annotation("1", "tone", "scripted", Kind.MODEL, None, status=status, policy="raw")
    assert (fine.status, fine.label) == (Status.OK, "down")


def test_a_conversation_is_asked_about() -> None:
    book = Codebook(name="b", unit="conversation", question=(CHOICE,))
    backend = WindowBackend(score)
    item = Item("1", turns=(Turn("A", "going"), Turn("B", "down")))
    assert labels(annotate([item], book, backend)) == [("1", "tone", "down")]
    assert user_words(backend.asked[0])[1] == "A: going\nB: down"


def test_no_items_are_no_answers() -> None:
    assert list(annotate([], BOOK, ScriptedBackend(score))) == []


class Pulled(Iterator[Item]):
    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = iter(texts)
        self.count = 0

    def __next__(self) -> Item:
        text = next(self._texts)
        self.count += 1
        return Item(str(self.count), text=text)


def widest_gap(items: Pulled, backend: Backend) -> int:
    widest = 0
    for number, annotation in enumerate(annotate(items, ONE_QUESTION, backend)):
        assert annotation.item == str(number + 1)
        widest = max(widest, items.count - number)
    assert items.count == number + 1
    return widest


def test_items_are_pulled_as_they_are_answered() -> None:
    assert widest_gap(Pulled("up" for _ in range(500)), ScriptedBackend(score)) == 1
    assert widest_gap(Pulled("up" for _ in range(500)), WindowBackend(score, window=8)) <= 8
    items = Pulled("up" for _ in range(500))
    assert len(list(islice(annotate(items, ONE_QUESTION, ScriptedBackend(score)), 3))) == 3
    assert items.count == 3


class LastFirst(ScriptedBackend):
    """Holds the first reply back until all others are given."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        stream = iter(requests)
        first = list(islice(stream, 1))
        yield from super().answer(stream)
        yield from super().answer(first)


@pytest.mark.parametrize(
    ("texts", "backend"),
    [
        (["up"] * 1000, LastFirst(score)),
        ([""] * 1000, ScriptedBackend(score)),
        (["up", *[" "] * 999], LastFirst(score)),
    ],
    ids=["a slow reply", "nothing to ask", "both"],
)
def test_what_waits_for_an_earlier_answer_is_bounded(
    monkeypatch: pytest.MonkeyPatch, texts: Sequence[str], backend: Backend
) -> None:
    monkeypatch.setattr(classifier, "_MOST_WAITING", 50)
    assert widest_gap(Pulled(texts), backend) == 50


class Short(ScriptedBackend):
    """Answers so many requests, and ends."""

    def __init__(self, count: int, *, pulls: int) -> None:
        super().__init__(score)
        self._count, self._pulls = count, pulls

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        return super().answer(list(islice(requests, self._pulls))[: self._count])


@pytest.mark.parametrize(("count", "pulls"), [(0, 0), (0, 2), (2, 2), (2, 3), (4, 5)])
def test_a_backend_that_leaves_something_out_is_an_error(count: int, pulls: int) -> None:
    got: list[Annotation] = []
    with pytest.raises(BackendError, match="scripted ended before it had answered everything"):
        got.extend(annotate((Item(str(n), text="up") for n in range(5)), ONE_QUESTION, Short(count, pulls=pulls)))
    assert len(got) == count


def test_an_end_in_the_middle_comes_after_what_was_answered() -> None:
    def script(request: Request) -> Reply:
        if "stop" in user_words(request)[1]:
            raise BackendError("the server is gone")
        return score(request)

    annotations = annotate(Pulled(["up", "down", "stop", "up"]), ONE_QUESTION, ScriptedBackend(script))
    assert [next(annotations).label, next(annotations).label] == ["up", "down"]
    with pytest.raises(BackendError, match="the server is gone"):
        next(annotations)


def test_a_prompt_that_does_not_render_is_an_error_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "codebook.toml").write_text(
        'name = "b"\n[[question]]\nname = "q"\nkind = "choice"\nask = "?"\nlabel = [{ name = "a" }, { name = "b" }]\n'
    )
    (tmp_path / "prompt.jinja").write_text("{% block user %}{{ itme.text }}{% endblock %}")
    backend = WindowBackend(score)
    with pytest.raises(PromptError, match="'itme' is undefined"):
        list(annotate([Item("1", text="up")], Codebook.load(tmp_path), backend))
    assert backend.asked == []


def test_from_a_table_to_a_table_and_again_without_asking(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id,text\n1,up one price\n2,\n3,caf\xe9\n4,up one price\n5,fail timeout\n")
    backends, tables = [], []
    for run in range(2):
        backends.append(WindowBackend(score))
        engine = RecordedBackend(backends[run], Store(tmp_path / "job.sqlite"))
        write_annotations(tmp_path / f"{run}.csv", annotate(read_items(tmp_path / "in.csv"), BOOK, engine))
        engine.close()
        tables.append([annotation for _, annotation in read_annotations(tmp_path / f"{run}.csv")])
    assert len(tables[0]) == 5 * 3
    assert [(a.item, a.label or str(a.status)) for a in tables[0]][:4] == [
        ("1", "up"),
        ("1", "1"),
        ("1", ("price",)),
        ("2", "empty"),
    ]
    assert tables[0] == tables[1]
    assert [len(backend.asked) for backend in backends] == [8, 0]  # the texts 1 and 4 are equal


def test_reasons_go_to_a_table_and_again_without_asking(tmp_path: Path) -> None:
    tables = []
    backends = [WindowBackend(reason), WindowBackend(reason)]
    for run, backend in enumerate(backends):
        engine = RecordedBackend(backend, Store(tmp_path / "job.sqlite"))
        annotations = list(annotate([Item("1", text="up one price"), Item("2", text="")], REASONED, engine))
        engine.close()
        write_annotations(tmp_path / f"{run}.csv", annotations, REASONED.reasons)
        tables.append([annotation for _, annotation in read_annotations(tmp_path / f"{run}.csv")])
        assert tables[run] == annotations
    assert tables[0] == tables[1]
    assert tables[0][0].rationale == "It says: up one price"
    assert tables[0][2].misquoted == ("made up",)
    assert [len(backend.asked) for backend in backends] == [3, 0]


def test_whoever_stops_early_goes_on_from_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "job.sqlite")
    texts = [f"up {number}" for number in range(9)]
    backend = WindowBackend(score, window=3)
    annotations = annotate(Pulled(texts), ONE_QUESTION, RecordedBackend(backend, store))
    assert [next(annotations).item for _ in range(3)] == ["1", "2", "3"]
    del annotations
    assert committed(store) == 3
    again = WindowBackend(score, window=3)
    assert len(list(annotate(Pulled(texts), ONE_QUESTION, RecordedBackend(again, store)))) == 9
    assert sorted(user_words(request)[1] for request in again.asked) == texts[3:]
    store.close()


def test_messages_of_one_question_share_their_head() -> None:
    backend = WindowBackend(score)
    list(annotate(Pulled(["up", "{{ down }}", "x"]), ONE_QUESTION, backend))
    heads = {user_words(request)[0] for request in backend.asked}
    assert len(heads) == 1
    assert all(request.messages[-1] == Message("assistant", ("It is",)) for request in backend.asked)
