"""Typed decisions from a server written from the OpenAI client's own types, and from one with the System One API."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest
from openai.types.decision import (
    AnswerAnswerResourceChoice,
    AnswerAnswerResourceChoiceProbability,
    AnswerAnswerResourcePredicate,
    AnswerAnswerResourceRefusal,
    AnswerAnswerResourceScore,
    AnswerAnswerResourceScoreProbability,
    UsageInputTokensDetails,
    UsageOutputTokensDetails,
)
from openai.types.decision import (
    Usage as CallUsage,
)
from openai.types.decision_create_params import DecisionCreateParams, Question
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pytest_httpserver import HTTPServer
from werkzeug import Request as Received
from werkzeug import Response

from llmclf.annotations import Annotation
from llmclf.backends.base import Failure, Likelihoods, Message, Reading, Reply, Request, Scores, Typed, Usage
from llmclf.backends.decisions_api import LEAST, DecisionsBackend
from llmclf.backends.recorded import RecordedBackend
from llmclf.backends.registry import open_backend
from llmclf.classifier import annotate
from llmclf.codebook import Codebook
from llmclf.errors import InputError, ServerRefused, ServerUnreachable
from llmclf.estimate import estimate
from llmclf.items import Item, Turn
from llmclf.status import Status
from llmclf.store import Store

from .test_hosted import Pauses

DECISIONS, SYSTEM_ONE = "/v1/decisions", "/v1/systemone"
TOPIC = {
    "name": "topic",
    "kind": "choice",
    "ask": "What is it about?",
    "label": [
        {"name": "sports", "definition": "Games and matches", "includes": ["training"], "examples": ["A goal!"]},
        {"name": "politics"},
    ],
}
ANGER = {
    "name": "anger",
    "kind": "score",
    "ask": "How angry is it?",
    "label": [
        {"name": "calm", "value": 0},
        {"name": "annoyed", "value": 1, "definition": "civil all the same"},
        {"name": "furious", "value": 2},
    ],
}
PLACES = {
    "name": "places",
    "kind": "set",
    "ask": "Which places does it name?",
    "label": [{"name": "Rome"}, {"name": "Oslo", "definition": "also as Kristiania"}],
}
BOOK = Codebook.model_validate({"name": "book", "instructions": "Judge as read.", "question": [TOPIC, ANGER, PLACES]})
CHOICE = Typed("choice", "What is it about?", ("sports", "politics"), ("", ""))
SCORE = Typed("score", "How angry?", ("calm", "annoyed", "furious"), ("", "", ""))
PREDICATE = Typed("predicate", "It rains.", ("yes", "no"))


class Opener(Protocol):
    def __call__(self, api: str = "decisions", **options: Any) -> DecisionsBackend: ...


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def connect(server: HTTPServer, pauses: Pauses) -> Iterator[Opener]:
    with ExitStack() as opened:

        def open_one(api: str = "decisions", **options: Any) -> DecisionsBackend:
            settings: dict[str, Any] = {"sleep": pauses, "clock": pauses.clock, **options}
            backend = DecisionsBackend("m", server.url_for("/v1"), api, **settings)
            opened.callback(backend.close)
            return backend

        yield open_one


# The server, in the words of the OpenAI client


QUESTIONS = TypeAdapter(list[Question])
USAGE = CallUsage(
    input_tokens=100,
    input_tokens_details=UsageInputTokensDetails(cached_tokens=60, cache_write_tokens=0),
    output_tokens=3,
    output_tokens_details=UsageOutputTokensDetails(reasoning_tokens=1),
    total_tokens=103,
)


def chosen(question: dict[str, Any], *probabilities: float) -> AnswerAnswerResourceChoice:
    values = [choice["value"] for choice in question["choices"]]
    pairs = [
        AnswerAnswerResourceChoiceProbability(value=value, probability=probability)
        for value, probability in zip(values, probabilities, strict=True)
    ]
    return AnswerAnswerResourceChoice(
        type="choice", name=question["name"], choice=values[0], confidence=0.5, probabilities=pairs
    )


def scored(question: dict[str, Any], *probabilities: float) -> AnswerAnswerResourceScore:
    levels = [
        AnswerAnswerResourceScoreProbability(label=level["label"], value=value, probability=probability)
        for value, (level, probability) in enumerate(zip(question["levels"], probabilities, strict=True))
    ]
    return AnswerAnswerResourceScore(
        type="score", name=question["name"], score=1.0, confidence=0.5, probabilities=levels
    )


def predicted(question: dict[str, Any], probability: float) -> AnswerAnswerResourcePredicate:
    return AnswerAnswerResourcePredicate(type="predicate", name=question["name"], probability=probability)


def refused(question: dict[str, Any]) -> AnswerAnswerResourceRefusal:
    return AnswerAnswerResourceRefusal(type="refusal", name=question["name"])


def fair_answer(question: dict[str, Any]) -> BaseModel:
    if question["type"] == "choice":
        return chosen(question, 0.75, 0.25)
    if question["type"] == "score":
        return scored(question, 0.2, 0.5, 0.3)
    return predicted(question, 0.9 if "Rome" in question["instructions"] else 0.2)


class Decider:
    """A server's handler that takes what the client's types allow, and keeps it."""

    def __init__(self, answer: Callable[[dict[str, Any]], BaseModel | dict[str, Any] | None] = fair_answer) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, received: Received) -> Response:
        body = received.get_json()
        assert set(body) <= set(DecisionCreateParams.__annotations__)
        assert isinstance(body["input"], str)
        assert isinstance(body["model"], str)
        for question in QUESTIONS.validate_python(body["questions"]):
            # Pydantic checks what stands in an Iterable as it is taken.
            options: Any = question.get("choices") or question.get("levels") or ()
            assert len(list(options)) <= 255
        self.bodies.append(body)
        answers = [self.answer(question) for question in body["questions"]]
        said = {
            "answers": [one.model_dump() if isinstance(one, BaseModel) else one for one in answers if one],
            "model": "m-2026",
            "usage": USAGE.model_dump(),
        }
        return Response(json.dumps(said), content_type="application/json")


@pytest.fixture
def decider(server: HTTPServer) -> Decider:
    decider = Decider()
    server.expect_request(DECISIONS, method="POST").respond_with_handler(decider)
    return decider


def ask(backend: DecisionsBackend, *forms: Typed, text: str = "hello") -> list[Reply]:
    """Ask about one text, and give the replies in the order of the questions."""
    requests = [Request(number, (Message("user", (text,)),), form) for number, form in enumerate(forms)]
    return sorted(backend.answer(requests), key=lambda reply: reply.request_id)


def only(backend: DecisionsBackend, form: Typed) -> Reply:
    (reply,) = ask(backend, form)
    return reply


def probabilities(reply: Reply) -> dict[str, float]:
    assert isinstance(reply, Scores), reply
    return {label: math.exp(value) for label, value in reply.log_likelihoods.items()}


# What goes out and what comes back


def test_all_that_a_codebook_asks_about_a_text_goes_into_one_call(decider: Decider, connect: Opener) -> None:
    list(annotate([Item("1", text="We won in Rome!")], BOOK, connect()))
    (body,) = decider.bodies
    assert body == {
        "model": "m",
        "input": "We won in Rome!",
        "questions": [
            {
                "name": "q1",
                "type": "choice",
                "instructions": "Judge as read.\n\nWhat is it about?",
                "choices": [
                    {"value": "sports", "description": "Games and matches\nIncludes: training\nExample: A goal!"},
                    {"value": "politics"},
                ],
            },
            {
                "name": "q2",
                "type": "score",
                "instructions": "Judge as read.\n\nHow angry is it?",
                "levels": [
                    {"label": "calm"},
                    {"label": "annoyed", "description": "civil all the same"},
                    {"label": "furious"},
                ],
            },
            {
                "name": "q3",
                "type": "predicate",
                "instructions": "Judge as read.\n\nWhich places does it name?\nThis label applies to the text: Rome",
            },
            {
                "name": "q4",
                "type": "predicate",
                "instructions": "Judge as read.\n\nWhich places does it name?\n"
                "This label applies to the text: Oslo\nalso as Kristiania",
            },
        ],
    }


def decided(annotations: list[Annotation]) -> None:
    topic, anger, places = annotations
    assert [one.status for one in annotations] == [Status.OK] * 3
    assert (topic.label, anger.label, places.label) == ("sports", "1", ("Rome",))
    assert topic.probabilities == pytest.approx({"sports": 0.75, "politics": 0.25})
    assert anger.probabilities == pytest.approx({"0": 0.2, "1": 0.5, "2": 0.3})
    assert places.probabilities == pytest.approx({"Rome": 0.9, "Oslo": 0.2})
    assert places.probability == pytest.approx(0.9 * 0.8)


@pytest.mark.usefixtures("decider")
def test_the_three_kinds_are_decided_by_the_probabilities_that_are_given(connect: Opener) -> None:
    decided(list(annotate([Item("1", text="We won in Rome!")], BOOK, connect())))


@pytest.mark.usefixtures("decider")
def test_a_reply_says_where_its_probabilities_come_from_and_what_the_call_took(connect: Opener) -> None:
    choice, score, predicate = ask(connect(), CHOICE, SCORE, PREDICATE)
    assert probabilities(choice) == pytest.approx({"sports": 0.75, "politics": 0.25})
    assert probabilities(score) == pytest.approx({"calm": 0.2, "annoyed": 0.5, "furious": 0.3})
    assert probabilities(predicate) == pytest.approx({"yes": 0.2, "no": 0.8})
    for reply in (choice, score, predicate):
        assert isinstance(reply, Scores)
        assert (reply.origin, reply.served_model, set(reply.tokens.values())) == ("decisions", "m-2026", {1})
        assert reply.seconds > 0
    assert [reply.usage for reply in (choice, score, predicate)] == [Usage(100, 60, 3, 1), Usage(), Usage()]


def test_a_fingerprint_is_kept_where_a_server_gives_one(server: HTTPServer, connect: Opener) -> None:
    body = {"answers": [{"type": "predicate", "name": "q1", "probability": 0.5}], "system_fingerprint": "fp_1"}
    server.expect_request(DECISIONS).respond_with_json(body)
    reply = only(connect(), PREDICATE)
    assert isinstance(reply, Scores)
    assert (reply.served_model, reply.fingerprint, reply.usage) == ("", "fp_1", Usage())


def test_a_conversation_is_a_line_a_turn(decider: Decider, connect: Opener) -> None:
    book = Codebook.model_validate({"name": "book", "unit": "conversation", "question": [PLACES]})
    list(annotate([Item("1", turns=(Turn("A", "To Rome?"), Turn("B", "Yes.")))], book, connect()))
    (body,) = decider.bodies
    assert body["input"] == "A: To Rome?\nB: Yes."
    assert body["questions"][0]["instructions"].endswith("This label applies to the conversation: Rome")


def test_answers_are_known_by_their_names(decider: Decider, connect: Opener) -> None:
    given = iter([("q2", 0.3), ("q1", 0.6)])

    def answer(_: dict[str, Any]) -> BaseModel:
        name, probability = next(given)
        return predicted({"name": name}, probability)

    decider.answer = answer
    first, second = ask(connect(), PREDICATE, PREDICATE)
    assert (probabilities(first)["yes"], probabilities(second)["yes"]) == pytest.approx((0.6, 0.3))


def test_other_forms_are_not_to_be_had(connect: Opener) -> None:
    request = Request(0, (Message("user", ("hello",)),), Likelihoods(("a", "b")))
    with pytest.raises(TypeError, match="Likelihoods"):
        list(connect().answer([request]))


# Probabilities that are none


def test_a_probability_of_0_is_a_number_that_can_be_kept(decider: Decider, connect: Opener, tmp_path: Path) -> None:
    decider.answer = lambda question: chosen(question, 0, 1) if question["type"] == "choice" else predicted(question, 0)
    book = Codebook.model_validate({"name": "book", "question": [TOPIC, PLACES]})
    store = Store(tmp_path / "record.llmclf")
    topic, places = annotate([Item("1", text="x")], book, RecordedBackend(connect(), store))
    records = list(store.records())
    store.close()
    assert (topic.label, topic.probability) == ("politics", 1)
    assert (places.label, places.probability) == ((), 1)
    for record in records:
        assert isinstance(record.reply, Scores)
        assert min(record.reply.log_likelihoods.values()) == math.log(LEAST)
    assert b"Infinity" not in (tmp_path / "record.llmclf").read_bytes()


@pytest.mark.parametrize("rounded", [(0.33, 0.33, 0.33), (0.34, 0.34, 0.34)])
def test_probabilities_may_be_rounded(decider: Decider, connect: Opener, rounded: tuple[float, ...]) -> None:
    decider.answer = lambda question: scored(question, *rounded)
    assert probabilities(only(connect(), SCORE)) == pytest.approx(dict(zip(SCORE.labels, rounded, strict=True)))


def edited(path: str, value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Give a fair answer with one value set; `del` takes it away."""

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        body: Any = fair_answer(question).model_dump()
        *places, key = [int(part) if part.isdigit() else part for part in path.split(".")]
        inner = body
        for place in places:
            inner = inner[place]
        if value == "del":
            del inner[key]
        else:
            inner[key] = value
        return dict(body)

    return answer


MALFORMED: dict[str, tuple[Typed, Callable[[dict[str, Any]], dict[str, Any] | None], str]] = {
    "left out": (CHOICE, lambda _: None, "0 answers"),
    "of another kind": (CHOICE, lambda question: predicted(question, 0.5).model_dump(), "type: "),
    "of no kind": (CHOICE, edited("type", "del"), "type: "),
    "without probabilities": (CHOICE, edited("probabilities", "del"), "probabilities: "),
    "without one": (CHOICE, edited("probabilities.1", "del"), "those of the labels"),
    "with a wrong label": (CHOICE, edited("probabilities.1.value", "polls"), "those of the labels"),
    "with a label twice": (CHOICE, edited("probabilities.1.value", "sports"), "those of the labels"),
    "with a label that is true": (CHOICE, edited("probabilities.1.value", True), "probabilities 1 value"),
    "with a wrong level": (SCORE, edited("probabilities.1.label", "cross"), "those of the labels"),
    "above 1": (PREDICATE, edited("probability", 1.1), "probability: "),
    "below 0": (CHOICE, edited("probabilities.0.probability", -0.1), "probabilities 0 probability"),
    "no number": (PREDICATE, edited("probability", "0.5"), "probability: "),
    "not a number": (PREDICATE, edited("probability", math.nan), "probability: "),
    "a sum of nothing": (CHOICE, lambda question: chosen(question, 0, 0).model_dump(), "sum to 0"),
    "a sum of more": (SCORE, lambda question: scored(question, 0.9, 0.9, 0.9).model_dump(), "sum to 2.7"),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_malformed_answer_fails_alone(decider: Decider, connect: Opener, fault: str) -> None:
    form, answer, detail = MALFORMED[fault]
    decider.answer = lambda question: answer(question) if question["name"] == "q2" else fair_answer(question)
    before, malformed, after = ask(connect(), PREDICATE, form, CHOICE)
    assert isinstance(malformed, Failure)
    assert (malformed.status, malformed.retryable) == (Status.MALFORMED, False)
    assert detail in malformed.detail
    assert bool(malformed.text) == (fault != "left out"), "what was said is kept"
    assert isinstance(before, Scores)
    assert isinstance(after, Scores)


def test_two_answers_to_one_question_are_none(decider: Decider, connect: Opener) -> None:
    decider.answer = lambda _: predicted({"name": "q1"}, 0.5)
    first, second = ask(connect(), PREDICATE, PREDICATE)
    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    assert (first.detail, second.detail) == ("2 answers to one question", "0 answers to one question")


def test_a_refused_question_is_counted_as_refused(decider: Decider, connect: Opener) -> None:
    decider.answer = lambda question: refused(question) if question["name"] == "q1" else fair_answer(question)
    topic, anger, places = annotate([Item("1", text="We won in Rome!")], BOOK, connect())
    assert (topic.status, topic.label) == (Status.REFUSED, None)
    assert (anger.label, places.label) == ("1", ("Rome",))
    reply, _ = ask(connect(), CHOICE, SCORE)
    assert isinstance(reply, Failure)
    assert (reply.retryable, reply.served_model) == (False, "m-2026")
    assert reply.usage.prompt_tokens == 100, "what a refusal took is counted, too"


# Calls


def test_texts_that_follow_each_other_share_a_call_where_they_are_equal(decider: Decider, connect: Opener) -> None:
    texts = ["a", "a", "a", "b", "b", "a"]
    requests = [Request(number, (Message("user", (text,)),), CHOICE) for number, text in enumerate(texts)]
    replies = list(connect().answer(requests))
    assert sorted(reply.request_id for reply in replies) == list(range(6))
    assert sorted((body["input"], len(body["questions"])) for body in decider.bodies) == [("a", 1), ("a", 3), ("b", 2)]
    assert sum(reply.usage.prompt_tokens for reply in replies) == 3 * USAGE.input_tokens


def test_repeats_of_a_question_are_calls_of_their_own(decider: Decider, connect: Opener) -> None:
    messages = (Message("user", ("a",)),)
    list(connect().answer(Request(number, messages, CHOICE, replicate=number) for number in range(3)))
    assert [len(body["questions"]) for body in decider.bodies] == [1, 1, 1]


@pytest.mark.parametrize(
    ("options", "asked", "calls"), [({}, 401, [1, 400]), ({"questions_per_call": 3}, 7, [1, 3, 3])]
)
def test_a_call_takes_so_many_questions(
    decider: Decider, connect: Opener, options: dict[str, Any], asked: int, calls: list[int]
) -> None:
    replies = ask(connect(**options), *[PREDICATE] * asked)
    assert [type(reply) for reply in replies] == [Scores] * asked
    assert sorted(len(body["questions"]) for body in decider.bodies) == calls


def test_calls_are_made_only_as_replies_are_taken(decider: Decider, connect: Opener) -> None:
    pulled = 0

    def endless() -> Iterator[Request]:
        nonlocal pulled
        while True:
            pulled += 1
            yield Request(pulled, (Message("user", (str(pulled // 2),)),), CHOICE)

    replies = connect(concurrency=2).answer(endless())
    assert pulled == 0
    for _ in range(10):
        next(replies)
    assert pulled <= 10 + 2 * 2 + 2
    replies.close()  # type: ignore[attr-defined]
    assert len(decider.bodies) <= 8


def test_a_server_that_is_busy_is_asked_again(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    later = Response("later", 429, {"Retry-After": "7"})
    server.expect_ordered_request(DECISIONS).respond_with_response(later)
    server.expect_ordered_request(DECISIONS).respond_with_handler(Decider())
    replies = ask(connect(), CHOICE, SCORE)
    assert [type(reply) for reply in replies] == [Scores, Scores]
    (pause,) = pauses
    assert 7 <= pause <= 9


@pytest.mark.parametrize(
    "body", ["<html>Sign in</html>", '{"answers": [', '{"answers": {"q1": {}}}', '{"choices": []}']
)
def test_what_is_no_set_of_decisions_fails_all_its_questions(
    server: HTTPServer, connect: Opener, pauses: Pauses, body: str
) -> None:
    server.expect_request(DECISIONS).respond_with_data(body, content_type="application/json")
    replies = ask(connect(attempts=2), CHOICE, SCORE)
    assert [reply.request_id for reply in replies] == [0, 1]
    for reply in replies:
        assert isinstance(reply, Failure)
        assert (reply.status, reply.retryable) == (Status.FAILED, True)
        assert "not a set of decisions" in reply.detail
    assert len(pauses) == 1


def test_a_call_that_is_refused_leaves_others_alone(server: HTTPServer, connect: Opener) -> None:
    def handle(received: Received) -> Response:
        if received.get_json()["input"] == "bad":
            return Response(json.dumps({"error": {"message": "no", "code": "content_filter"}}), 400)
        return Decider()(received)

    server.expect_request(DECISIONS).respond_with_handler(handle)
    requests = [Request(number, (Message("user", (text,)),), CHOICE) for number, text in enumerate(["bad", "good"])]
    bad, good = sorted(connect().answer(requests), key=lambda reply: reply.request_id)
    assert isinstance(bad, Failure)
    assert bad.status is Status.FILTERED
    assert isinstance(good, Scores)


def test_nobody_at_the_address_is_an_error() -> None:
    backend = DecisionsBackend("m", "http://127.0.0.1:9/v1")
    with pytest.raises(ServerUnreachable, match="nobody answers"):
        only(backend, CHOICE)
    backend.close()


def test_a_server_without_decisions_is_an_error(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(DECISIONS).respond_with_json({"detail": "Not Found"}, status=404)
    with pytest.raises(ServerRefused, match="ends as the server's API does"):
        only(connect(), CHOICE)


def test_an_estimate_is_of_what_is_sent(decider: Decider, connect: Opener) -> None:
    items = [Item(str(number), text=f"We won {number} times in Rome! " * 20) for number in range(3)]
    found = estimate(items, BOOK, connect())
    list(annotate(items, BOOK, connect()))
    characters = 0
    for body in decider.bodies:
        characters += len(body["input"])
        for question in body["questions"]:
            options = question.get("choices") or question.get("levels") or []
            characters += len(question["instructions"]) + sum(len("".join(option.values())) for option in options)
    assert found.tokens_in == pytest.approx(characters / 4, rel=0.02)
    assert (found.requests, found.tokens_out) == (12, 0)


# What cannot be asked


def test_a_question_with_too_many_labels_is_refused_before_it_is_sent(decider: Decider, connect: Opener) -> None:
    labels = tuple(map(str, range(256)))
    with pytest.raises(InputError, match="256 labels"):
        ask(connect(), Typed("choice", "Which?", labels, ("",) * 256))
    assert not decider.bodies


@pytest.mark.parametrize("reason", ["rationale", "evidence"])
def test_reasons_are_refused_before_anything_is_asked(decider: Decider, connect: Opener, reason: str) -> None:
    book = Codebook.model_validate({"name": "book", "question": [TOPIC | {reason: True}]})
    with pytest.raises(InputError, match=f"asks for {reason}, and m writes none"):
        list(annotate([Item("1", text="x")], book, connect()))
    assert not decider.bodies


def test_the_best_label_alone_is_not_to_be_had(connect: Opener) -> None:
    with pytest.raises(InputError, match="best-only"):
        list(annotate([Item("1", text="x")], BOOK, connect(), best_only=Reading()))


def test_a_call_without_questions_is_refused(connect: Opener) -> None:
    with pytest.raises(InputError, match="questions_per_call is 0"):
        connect(questions_per_call=0)


def test_an_unknown_api_is_refused(connect: Opener) -> None:
    with pytest.raises(InputError, match="did you mean 'systemone'"):
        connect("systemtwo")


# The record


def test_what_is_on_record_is_not_asked_again(decider: Decider, connect: Opener, tmp_path: Path) -> None:
    path = tmp_path / "record.llmclf"
    items = [Item("1", text="We won in Rome!"), Item("2", text="Oslo votes."), Item("3", text="We won in Rome!")]
    runs = []
    for _ in range(2):
        store = Store(path)
        backend = RecordedBackend(connect(key="sk-secret"), store)
        runs.append(list(annotate(items, BOOK, backend)))
        store.close()
    assert len(decider.bodies) == 2
    assert runs[0] == runs[1]
    decided(runs[1][:3])
    decided(runs[1][6:])
    assert b"sk-secret" not in path.read_bytes()


@pytest.mark.parametrize("told", ["label", "level", "model", "type", "error"])
def test_a_key_that_a_server_repeats_is_not_kept(
    server: HTTPServer, connect: Opener, tmp_path: Path, told: str
) -> None:
    key = "sk-of-this-host"
    labels = {"sports": 1.0} | ({key: "none"} if told == "label" else {"politics": 0.0})
    levels = {"0": 0.5, key: 0.5} if told == "level" else {"0": 0.5, "1": 0.25, "2": 0.25}
    said: dict[str, Any] = {
        "answers": {
            "q1": {"type": key if told == "type" else "choice", "probabilities": labels},
            "q2": {"type": "score", "probabilities": levels},
        },
        "model": f"m of {key}" if told == "model" else "m",
    }
    body, status = ({"error": {"message": f"{key}?"}}, 400) if told == "error" else (said, 200)
    server.expect_request(SYSTEM_ONE).respond_with_json(body, status=status)
    store = Store(tmp_path / "record.llmclf")
    messages = (Message("user", ("x",)),)
    requests = [Request(number, messages, form) for number, form in enumerate((CHOICE, SCORE))]
    replies = list(RecordedBackend(connect("systemone", key=key), store).answer(requests))
    store.close()
    assert len(replies) == 2
    assert key not in str(replies)
    assert key.encode() not in (tmp_path / "record.llmclf").read_bytes()


def test_records_hold_all_that_was_asked_and_said(decider: Decider, connect: Opener, tmp_path: Path) -> None:
    decider.answer = lambda question: refused(question) if question["name"] == "q4" else fair_answer(question)
    store = Store(tmp_path / "record.llmclf")
    recorded = RecordedBackend(connect(), store)
    list(annotate([Item("1", text="We won in Rome!")], BOOK, recorded))
    records = list(store.records())
    store.close()
    assert {record.identity.model["api"] for record in records} == {"decisions"}
    topic, anger, rome, _ = (record.request.form for record in records)
    assert topic == Typed(
        "choice",
        "What is it about?",
        ("sports", "politics"),
        ("Games and matches\nIncludes: training\nExample: A goal!", ""),
    )
    assert anger == Typed("score", "How angry is it?", SCORE.labels, ("", "civil all the same", ""))
    assert isinstance(rome, Typed)
    assert rome.labels == ("yes", "no")
    assert {record.request.messages for record in records} == {
        (Message("system", ("Judge as read.",)), Message("user", ("We won in Rome!",)))
    }
    assert [type(record.reply) for record in records] == [Scores, Scores, Scores, Failure]
    assert sum(record.reply.usage.prompt_tokens for record in records) == USAGE.input_tokens


@pytest.mark.parametrize("change", [{"ask": "What else?"}, {"kind": "score"}, {"definitions": ("", "Polls")}])
def test_what_is_asked_otherwise_is_asked(
    decider: Decider, connect: Opener, tmp_path: Path, change: dict[str, Any]
) -> None:
    store = Store(tmp_path / "record.llmclf")
    recorded = RecordedBackend(connect(), store)
    decider.answer = lambda question: (
        chosen(question, 0.5, 0.5) if question["type"] == "choice" else scored(question, 0.5, 0.5)
    )
    messages = (Message("user", ("x",)),)
    other = Typed(**{"kind": "choice", "ask": CHOICE.ask, "labels": CHOICE.labels, "definitions": ("", ""), **change})
    for form in (CHOICE, other, CHOICE):
        list(recorded.answer([Request(0, messages, form)]))
    store.close()
    assert len(decider.bodies) == 2


# System One, after the schemas that TypeSafe publishes (OpenAPI 0.2.0)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NoulQuestion(_Strict):
    type: Literal["noul"]
    instructions: str


class ChoiceQuestion(_Strict):
    type: Literal["choice"]
    instructions: str
    criteria: dict[str, str | None] = Field(min_length=1, max_length=255)


class ScoreQuestion(_Strict):
    type: Literal["score"]
    instructions: str
    criteria: list[str] = Field(min_length=1)


class SystemOneRequest(_Strict):
    model: str
    state: str
    questions: dict[str, NoulQuestion | ChoiceQuestion | ScoreQuestion] = Field(min_length=1)


def system_one_answer(_: str, question: NoulQuestion | ChoiceQuestion | ScoreQuestion) -> dict[str, Any] | None:
    if isinstance(question, ChoiceQuestion):
        likely = dict(zip(question.criteria, (0.75, 0.25), strict=True))
        return {"type": "choice", "choice": "sports", "confidence": 0.5, "probabilities": likely}
    if isinstance(question, ScoreQuestion):
        legend = {str(number): level for number, level in enumerate(question.criteria)}
        levels = dict(zip(legend, (0.2, 0.5, 0.3), strict=True))
        return {"type": "score", "score": 1.1, "confidence": 0.2, "legend": legend, "probabilities": levels}
    return {"type": "noul", "noul": 0.9 if "Rome" in question.instructions else 0.2}


def system_one(
    server: HTTPServer, answer: Callable[[str, Any], dict[str, Any] | None] = system_one_answer
) -> list[SystemOneRequest]:
    """Have the server answer so, and give the list of what it is asked."""
    asked: list[SystemOneRequest] = []

    def handle(received: Received) -> Response:
        body = SystemOneRequest.model_validate(received.get_json())
        asked.append(body)
        answers = {name: answer(name, question) for name, question in body.questions.items()}
        said = {
            "model": "jev-1",
            "answers": {name: one for name, one in answers.items() if one},
            "usage": {"input_tokens": 50, "output_tokens": 1},
        }
        return Response(json.dumps(said), content_type="application/json")

    server.expect_request(SYSTEM_ONE, method="POST").respond_with_handler(handle)
    return asked


def test_system_one_decides_the_three_kinds(server: HTTPServer, connect: Opener) -> None:
    asked = system_one(server)
    decided(list(annotate([Item("1", text="We won in Rome!")], BOOK, connect("systemone"))))
    (body,) = asked
    assert (body.model, body.state) == ("m", "We won in Rome!")
    assert [question.model_dump() for question in body.questions.values()] == [
        {
            "type": "choice",
            "instructions": "Judge as read.\n\nWhat is it about?",
            "criteria": {"sports": "Games and matches\nIncludes: training\nExample: A goal!", "politics": None},
        },
        {
            "type": "score",
            "instructions": "Judge as read.\n\nHow angry is it?",
            "criteria": ["calm", "annoyed: civil all the same", "furious"],
        },
        {
            "type": "noul",
            "instructions": "Judge as read.\n\nWhich places does it name?\nThis label applies to the text: Rome",
        },
        {
            "type": "noul",
            "instructions": "Judge as read.\n\nWhich places does it name?\n"
            "This label applies to the text: Oslo\nalso as Kristiania",
        },
    ]


def test_system_one_says_what_it_took(server: HTTPServer, connect: Opener) -> None:
    system_one(server)
    replies = ask(connect("systemone"), CHOICE, SCORE)
    assert [reply.usage for reply in replies] == [Usage(50, 0, 1), Usage()]
    assert {reply.served_model for reply in replies if isinstance(reply, Scores)} == {"jev-1"}


def test_system_one_is_asked_so_much_at_once(server: HTTPServer, connect: Opener) -> None:
    asked = system_one(server)
    assert len(ask(connect("systemone"), *[PREDICATE] * 65)) == 65
    assert sorted(len(body.questions) for body in asked) == [1, 64]


@pytest.mark.parametrize(
    ("form", "answer", "status"),
    [
        (CHOICE, None, Status.MALFORMED),
        (CHOICE, {"type": "refusal"}, Status.REFUSED),
        (CHOICE, {"type": "choice", "probabilities": {"sports": 1.0}}, Status.MALFORMED),
        (SCORE, {"type": "score", "probabilities": {"0": 0.5, "1": 0.25, "3": 0.25}}, Status.MALFORMED),
        (SCORE, {"type": "score", "probabilities": {"calm": 0.5, "annoyed": 0.25, "furious": 0.25}}, Status.MALFORMED),
        (PREDICATE, {"type": "noul", "noul": 2}, Status.MALFORMED),
    ],
)
def test_a_question_that_system_one_does_not_answer_fails_alone(
    server: HTTPServer, connect: Opener, form: Typed, answer: dict[str, Any] | None, status: Status
) -> None:
    system_one(server, lambda name, question: answer if name == "q1" else system_one_answer(name, question))
    failed, other = ask(connect("systemone"), form, CHOICE)
    assert isinstance(failed, Failure)
    assert failed.status is status
    assert isinstance(other, Scores)


def test_what_one_api_said_is_no_answer_of_the_other(server: HTTPServer, connect: Opener, tmp_path: Path) -> None:
    decider = Decider()
    server.expect_request(DECISIONS).respond_with_handler(decider)
    asked = system_one(server)
    store = Store(tmp_path / "record.llmclf")
    for api in ("decisions", "systemone"):
        list(annotate([Item("1", text="x")], BOOK, RecordedBackend(connect(api), store)))
    store.close()
    assert (len(decider.bodies), len(asked)) == (1, 1)


# By its URI


@pytest.mark.parametrize(("api", "path"), [("decisions", DECISIONS), ("systemone", SYSTEM_ONE)])
def test_a_uri_names_the_api_the_server_and_the_model(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch, api: str, path: str
) -> None:
    monkeypatch.setenv("LLMCLF_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    server.expect_request(DECISIONS).respond_with_handler(Decider())
    system_one(server)
    uri = f"{api}+{server.url_for('/v1')}#some/model"
    backend = open_backend(uri, local_only=True, questions_per_call=2)
    decided(list(annotate([Item("1", text="We won in Rome!")], BOOK, backend)))
    backend.close()
    assert backend.identity.model == {"server": server.url_for("/v1"), "model": "some/model", "api": api}
    for received, _ in server.log:
        assert (received.path, received.get_json()["model"]) == (path, "some/model")
        assert received.headers["Authorization"] == "Bearer sk-1"


def test_openai_is_asked_with_its_own_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("LLMCLF_API_KEY", "sk-1")
    with pytest.raises(InputError, match="Set OPENAI_API_KEY"):
        open_backend("decisions:gpt-6-luna")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
    backend = open_backend("decisions:gpt-6-luna")
    backend.close()
    assert backend.identity.model["server"] == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("uri", "settings", "said"),
    [
        ("decisions:gpt-6-luna", {"local_only": True}, "not on this machine"),
        ("systemone+https://example.com/v1#m", {"local_only": True}, "not on this machine"),
        ("other+http://127.0.0.1:1/v1#m", {"local_only": True}, "not on this machine"),
        ("other+http://127.0.0.1:1/v1#m", {}, "unknown backend"),
        ("decisions:", {}, "unknown backend"),
        ("systemone+http://127.0.0.1:1/v1", {}, r"Write systemone\+http://HOST:PORT/v1#MODEL"),
        ("decisions+http://127.0.0.1:1/v1#m", {"temperature": 0.5}, "unknown setting 'temperature'"),
        ("decisions+http://127.0.0.1:1/v1#m", {"api": "systemone"}, "unknown setting 'api'"),
        ("decisions+http://127.0.0.1:1/v1#m", {"questions_per_call": "many"}, "questions_per_call is 'many'"),
    ],
)
def test_what_no_uri_or_setting_is_says_so(uri: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_backend(uri, **settings)
