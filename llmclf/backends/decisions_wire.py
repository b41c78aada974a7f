"""What goes to typed-decision endpoints and comes back: OpenAI's `/decisions`, and `/systemone` as others serve it.

Either reads a text once and answers named questions about it with probabilities. OpenAI's is as its client (3.57) types
it; the other follows the schemas that TypeSafe publishes (OpenAPI 0.2.0), and Ollama (0.35) and others with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from llmclf.backends.base import Typed, Usage
from llmclf.backends.token_counts import TokenCounts

Answer: TypeAlias = Mapping[str, Any]
Probability = Annotated[float, Field(ge=0, le=1, strict=True)]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What came back under each question's name, unread, and what the server says of the whole."""

    answers: Mapping[str, Sequence[Answer]]
    served_model: str
    fingerprint: str
    usage: Usage


class _Response(BaseModel):
    model: str | None = None
    system_fingerprint: str | None = None
    usage: TokenCounts | None = None

    def decisions(self, answers: Mapping[str, Sequence[Answer]]) -> Decisions:
        return Decisions(answers, self.model or "", self.system_fingerprint or "", (self.usage or TokenCounts()).usage)


class _ListResponse(_Response):
    answers: list[dict[str, Any]]


class _Predicate(BaseModel):
    type: Literal["predicate"]
    probability: Probability


class _Option(BaseModel):
    value: str
    probability: Probability


class _Choice(BaseModel):
    type: Literal["choice"]
    probabilities: list[_Option]


class _Level(BaseModel):
    label: str
    probability: Probability


class _Score(BaseModel):
    type: Literal["score"]
    probabilities: list[_Level]


class OpenAIDecisions:
    """OpenAI's Decisions API."""

    most_questions = 400

    path = "/decisions"

    def body(self, model: str, text: str, questions: Mapping[str, Typed]) -> dict[str, Any]:
        """Give what is sent to ask named questions about a text: what the client's `decisions.create` sends."""
        asked = [{"name": name} | self._question(question) for name, question in questions.items()]
        return {"model": model, "input": text, "questions": asked}

    def read(self, body: str) -> Decisions:
        """Read the body of a response.

        Raises:
            ValidationError: it is no set of answers.

        """
        response = _ListResponse.model_validate_json(body)
        answers: dict[str, list[Answer]] = {}
        for answer in response.answers:
            answers.setdefault(str(answer.get("name")), []).append(answer)
        return response.decisions(answers)

    def probabilities(self, question: Typed, answer: Answer) -> Iterable[tuple[str | None, float]]:
        """Give the labels that an answer names, with their probabilities; None for a label that is none.

        Raises:
            ValidationError: it is no answer to a question of this kind.

        """
        if question.kind == "predicate":
            return _of_true(question, _Predicate.model_validate(answer).probability)
        if question.kind == "choice":
            return [(option.value, option.probability) for option in _Choice.model_validate(answer).probabilities]
        return [(level.label, level.probability) for level in _Score.model_validate(answer).probabilities]

    def _question(self, question: Typed) -> dict[str, Any]:
        body = {"type": question.kind, "instructions": question.ask}
        if question.kind == "predicate":
            return body
        options, label = ("choices", "value") if question.kind == "choice" else ("levels", "label")
        pairs = zip(question.labels, question.definitions, strict=True)
        return body | {options: [{label: name} | ({"description": what} if what else {}) for name, what in pairs]}


class _NamedResponse(_Response):
    answers: dict[str, dict[str, Any]]


class _Noul(BaseModel):
    type: Literal["noul"]
    noul: Probability


class _NamedChoice(BaseModel):
    type: Literal["choice"]
    probabilities: dict[str, Probability]


class _NumberedScore(BaseModel):
    type: Literal["score"]
    probabilities: dict[int, Probability]


class SystemOne:
    """The System One API; a level is known by its number, from 0."""

    most_questions = 64

    path = "/systemone"

    def body(self, model: str, text: str, questions: Mapping[str, Typed]) -> dict[str, Any]:
        """Give what is sent to ask named questions about a text."""
        asked = {name: self._question(question) for name, question in questions.items()}
        return {"model": model, "state": text, "questions": asked}

    def read(self, body: str) -> Decisions:
        """Read the body of a response.

        Raises:
            ValidationError: it is no set of answers.

        """
        response = _NamedResponse.model_validate_json(body)
        return response.decisions({name: [answer] for name, answer in response.answers.items()})

    def probabilities(self, question: Typed, answer: Answer) -> Iterable[tuple[str | None, float]]:
        """Give the labels that an answer names, with their probabilities; None for a label that is none.

        Raises:
            ValidationError: it is no answer to a question of this kind.

        """
        if question.kind == "predicate":
            return _of_true(question, _Noul.model_validate(answer).noul)
        if question.kind == "choice":
            return _NamedChoice.model_validate(answer).probabilities.items()
        levels = dict(enumerate(question.labels))
        numbered = _NumberedScore.model_validate(answer).probabilities
        return [(levels.get(number), probability) for number, probability in numbered.items()]

    def _question(self, question: Typed) -> dict[str, Any]:
        body = {"type": question.kind, "instructions": question.ask}
        if question.kind == "predicate":
            return body | {"type": "noul"}
        pairs = list(zip(question.labels, question.definitions, strict=True))
        if question.kind == "choice":
            return body | {"criteria": {name: what or None for name, what in pairs}}
        return body | {"criteria": [f"{name}: {what}" if what else name for name, what in pairs]}


def _of_true(question: Typed, probability: float) -> Iterable[tuple[str, float]]:
    return zip(question.labels, (probability, 1 - probability), strict=True)
