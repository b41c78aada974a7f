"""What is asked in the throughput comparison: public texts with labels of people, and one prompt for all peers."""

import csv
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from evals import empathy_data
from evals.datasets import find
from evals.empathy_label import PROMPTS, rated
from evals.peers.measure import Frame, Question, Task
from llmclf.codebook import Codebook

_MOST_TEXTS = 2000
_LONGEST_REPLY = 60
_LABEL_TOKENS = 48
"""Room for a label, also where a peer wraps it in JSON with spaces as it likes."""


@dataclass(frozen=True)
class Work:
    """One set of texts, what is asked about each, and what people answered (a text's questions in order)."""

    name: str
    title: str
    system: str
    head: str
    questions: tuple[Question, ...]
    texts: tuple[str, ...]
    truth: tuple[str | None, ...]
    unit: str = "text"
    mode: Literal["choose", "generate"] = "choose"
    context: int = 1024
    least: int = 10

    def task(
        self,
        model: str,
        frame: Frame | None,
        *,
        threads: int = 1,
        seconds: float = 1.0,
        repeats: int = 1,
        settings: Mapping[str, Any] | None = None,
    ) -> Task:
        """Give the task of one measurement; `frame` is None for a model without a chat template."""
        return Task(
            model=model,
            threads=threads,
            mode=self.mode,
            system=self.system,
            head=self.head,
            questions=self.questions,
            texts=self.texts,
            frame=frame or ("", "\n\n", "\n\nAnswer:"),
            is_chat=frame is not None,
            schema=reply_schema(self.questions[0].labels),
            max_tokens=_LONGEST_REPLY if self.mode == "generate" else _LABEL_TOKENS,
            context=self.context,
            least=self.least,
            seconds=seconds,
            repeats=repeats,
            settings=settings or {},
        )

    def score(self, answers: Iterable[str | None]) -> tuple[float | None, int]:
        """Give the share of right answers, None where nobody knows them, and the number of invalid answers."""
        given = [self._label(answer) for answer in answers]
        known = [(one, truth) for one, truth in zip(given, self.truth, strict=False) if truth is not None]
        right = sum(one == truth for one, truth in known) / len(known) if known else None
        return right, given.count(None)

    def _label(self, answer: str | None) -> str | None:
        if answer is not None and self.mode == "generate":
            try:
                answer = json.loads(answer)["label"]
            except (ValueError, KeyError, TypeError):
                return None
        labels = [label for question in self.questions for label in question.labels]
        return answer if answer in labels else None


def reply_schema(labels: Iterable[str]) -> str:
    """Give the schema of a written reply: the label, and why."""
    properties = {"label": {"enum": list(labels), "type": "string"}, "rationale": {"type": "string"}}
    return json.dumps(
        {
            "additionalProperties": False,
            "properties": properties,
            "required": list(properties),
            "title": "Answer",
            "type": "object",
        }
    )


def load(names: Iterable[str]) -> list[Work]:
    """Load works by name.

    Raises:
        InputError: a dataset is not here.

    """
    return [WORKS[name]() for name in names]


def _clickbait() -> Work:
    texts, truth = _headlines()
    return Work(
        "clickbait",
        "Short texts: headlines, 2 labels",
        "You label news headlines.",
        "Is this headline clickbait, written to make people curious, or news?\n\nHeadline:\n",
        (Question("", "The headline is", ("clickbait", "news")),),
        texts,
        truth,
    )


def _generation() -> Work:
    texts, truth = _headlines()
    return Work(
        "generation",
        f"Replies with a rationale, of at most {_LONGEST_REPLY} tokens: headlines, 2 labels",
        "You label news headlines.",
        "Is the headline clickbait, written to make people curious, or news? Reply with JSON that has a label, "
        "clickbait or news, and a rationale of at most ten words.\n\nHeadline:\n",
        (Question("", "", ("clickbait", "news")),),
        texts,
        truth,
        mode="generate",
    )


def _headlines() -> tuple[tuple[str, ...], tuple[str, ...]]:
    folder = find("clickbait")
    rows = []
    for name, label in (("clickbait_data.gz", "clickbait"), ("non_clickbait_data.gz", "news")):
        with gzip.open(folder / name, "rt", encoding="utf-8") as file:
            rows += _sample([(text, label) for line in file if (text := line.strip())], _MOST_TEXTS // 2)
    return _columns(rows)


def _amazon() -> Work:
    with (find("vader") / "amazonReviewSnippets_GroundTruth.txt").open(encoding="utf-8-sig") as file:
        rows = [(text.strip(), float(mean)) for _, mean, text in (line.split("\t") for line in file)]
    signed = [(text, "positive" if mean > 0 else "negative") for text, mean in rows if mean and text]
    texts, truth = _columns(signed)
    return Work(
        "amazon",
        "Short texts: Amazon snippets, 2 labels",
        "You label sentences of product reviews.",
        "Is the sentiment of this sentence positive or negative?\n\nSentence:\n",
        (Question("", "The sentiment is", ("positive", "negative")),),
        texts,
        truth,
    )


def _cebab() -> Work:
    folder = find("alttest") / "cebab_aspects"
    reviews = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
    people = json.loads((folder / "human_annotations.json").read_text(encoding="utf-8")).values()
    items = sorted({item for labels in people for item in labels if item.endswith("__service")})
    rows = []
    for item in items:
        counts = Counter(labels[item].lower() for labels in people if item in labels).most_common()
        is_tied = len(counts) > 1 and counts[0][1] == counts[1][1]
        rows.append((reviews[item.partition("__")[0]]["review"], None if is_tied else counts[0][0]))
    texts, truth = _columns(rows)
    return Work(
        "cebab",
        "Short texts: restaurant reviews, 3 labels",
        "You label restaurant reviews.",
        "What does this review say about the service? Answer positive, negative, or unknown if it says nothing.\n\n"
        "Review:\n",
        (Question("", "About the service it is", ("positive", "negative", "unknown")),),
        texts,
        truth,
    )


def _banking77() -> Work:
    folder = find("banking77")
    labels = [name.replace("_", " ") for name in json.loads((folder / "categories.json").read_text(encoding="utf-8"))]
    with (folder / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"].strip(), row["category"].replace("_", " ")) for row in csv.DictReader(file)]
    texts, truth = _columns(rows)
    return Work(
        "banking77",
        "77 labels: questions to a bank",
        "You label questions of a bank's customers.",
        f"Which topic does this question belong to? The topics are: {', '.join(labels)}.\n\nQuestion:\n",
        (Question("", "The topic is", tuple(labels)),),
        texts,
        truth,
    )


def _long() -> Work:
    codebook = Codebook.load(PROMPTS / "lend_an_ear")
    by_length = sorted(empathy_data.conversations()["lend_an_ear"], key=lambda one: len(str(one)))
    # The shortest, the longest, the next shortest and so on: all parts of it are of about the same length.
    conversations = [by_length[(place // 2) * (-1) ** place - place % 2] for place in range(len(by_length))]
    questions = []
    for question in codebook.questions:
        described = (f"- {label.name}: {label.definition}".removesuffix(": ") for label in question.labels)
        tail = "\n".join(("\n", question.ask, "Answer with one of these labels:", *described))
        labels = tuple(label.name for label in question.labels)
        questions.append(Question(tail, question.cue or "The label is", labels))
    texts = tuple("\n".join(f"{who}: {said}" for who, said in turns) for _, turns in conversations)
    ratings = empathy_data.ratings("lend_an_ear")
    experts = {question.name: rated(ratings, question.name) for question in codebook.questions}
    names = {question.name: {label.value: label.name for label in question.labels} for question in codebook.questions}
    truth = tuple(
        names[question.name].get(experts[question.name][item, "experts"])
        for item, _ in conversations
        for question in codebook.questions
    )
    return Work(
        "long",
        f"Long texts: conversations, {len(questions)} questions about each",
        codebook.instructions,
        "",
        tuple(questions),
        texts,
        truth,
        unit="conversation",
        context=2048,
        least=2,
    )


WORKS: Final[Mapping[str, Callable[[], Work]]] = {
    "clickbait": _clickbait,
    "amazon": _amazon,
    "cebab": _cebab,
    "banking77": _banking77,
    "long": _long,
    "generation": _generation,
}


def _sample(rows: list[Any], count: int) -> list[Any]:
    return random.Random(0).sample(rows, min(count, len(rows)))  # noqa: S311 - a sample, not a secret


def _columns(rows: list[Any]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Give the texts and their labels, in random order, so that any first part of them is a fair sample."""
    texts, truth = zip(*_sample(rows, _MOST_TEXTS), strict=True)
    return texts, truth
