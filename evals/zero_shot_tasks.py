"""What is asked in the zero-shot comparison: public texts with people's labels, and one codebook each.

The wordings were fixed before any result was seen. Texts are drawn with a fixed seed. The first `LABELLED` of a task
are those whose labels a method may learn from; all others are held out.
"""

import csv
import gzip
import html
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from evals import empathy_data
from evals.datasets import find
from evals.empathy_label import PROMPTS, rated
from llmclf.agreement.counts import Ints
from llmclf.codebook import Codebook, Label, Question, number_text
from llmclf.items import Item, Turn

LABELLED: Final = 200
HELD_OUT: Final = 2000
GATED: Final = 500
"""Tasks of fewer texts are reported, not judged."""
_CLEAR: Final = 0.5
"""Mean ratings nearer to 0 than this are neither positive nor negative."""


@dataclass(frozen=True, eq=False)
class LabelTask:
    """One question about many items, and people's answers, as positions of its labels."""

    name: str
    codebook: Codebook
    items: tuple[Item, ...]
    truth: Ints

    @property
    def question(self) -> Question:
        """The only one."""
        return self.codebook.questions[0]

    @property
    def labelled(self) -> int:
        """How many items at the beginning have labels to learn from; none where too few would be left."""
        return LABELLED if len(self.items) > 2 * LABELLED else 0


def load(name: str, most: int = LABELLED + HELD_OUT) -> LabelTask:
    """Load a task by its name, with so many items at most.

    Raises:
        InputError: its dataset is not here.

    """
    task = TASKS[name]()
    return replace(task, items=task.items[:most], truth=task.truth[:most])


def _task(name: str, codebook: Codebook, rows: Iterable[tuple[Item, str]]) -> LabelTask:
    different = {item.words: (item, code) for item, code in rows}
    drawn = list(different.values())
    random.Random(0).shuffle(drawn)  # noqa: S311 - a sample, not a secret
    drawn = drawn[: LABELLED + HELD_OUT]
    codes = codebook.questions[0].codes
    truth = np.array([codes.index(code) for _, code in drawn])
    return LabelTask(name, codebook, tuple(item for item, _ in drawn), truth)


def _codebook(name: str, instructions: str, ask: str, cue: str, labels: Iterable[str]) -> Codebook:
    names = tuple(Label(name=label) for label in labels)
    question = Question(name=name, kind="choice", ask=ask, cue=cue, label=names)
    return Codebook(name=name, instructions=instructions, question=(question,))


def _texts(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[Item, str]]:
    return ((Item(str(n), text=text), code) for n, (text, code) in enumerate(rows) if text.strip())


def _sentiment(name: str, file: str, unit: str, source: str) -> LabelTask:
    with (find("vader") / file).open(encoding="utf-8-sig") as lines:
        rated_texts = [(text.strip(), float(mean)) for _, mean, text in (line.split("\t", 2) for line in lines)]
    codebook = _codebook(
        name,
        f"You label {source}.",
        f"Is the sentiment of this {unit} positive or negative?",
        "The sentiment is",
        ("positive", "negative"),
    )
    clear = ((text, "positive" if mean > 0 else "negative") for text, mean in rated_texts if abs(mean) >= _CLEAR)
    return _task(name, codebook, _texts(clear))


def _amazon() -> LabelTask:
    return _sentiment("amazon", "amazonReviewSnippets_GroundTruth.txt", "sentence", "sentences of product reviews")


def _movies() -> LabelTask:
    return _sentiment("movies", "movieReviewSnippets_GroundTruth.txt", "sentence", "sentences of movie reviews")


def _tweets() -> LabelTask:
    return _sentiment("tweets", "tweets_GroundTruth.txt", "tweet", "tweets")


def _clickbait() -> LabelTask:
    codebook = _codebook(
        "clickbait",
        "You label news headlines.",
        "Is this headline clickbait, written to make people curious, or news?",
        "The headline is",
        ("clickbait", "news"),
    )
    rows = []
    for file, label in (("clickbait_data.gz", "clickbait"), ("non_clickbait_data.gz", "news")):
        with gzip.open(find("clickbait") / file, "rt", encoding="utf-8") as lines:
            rows += [(line.strip(), label) for line in lines]
    return _task("clickbait", codebook, _texts(rows))


def _davidson() -> LabelTask:
    labels = ("hate speech", "offensive language", "neither")
    codebook = _codebook(
        "davidson",
        "You moderate a social network.",
        "Is this tweet hate speech, offensive language without hate, or neither?",
        "The tweet is",
        labels,
    )
    with (find("davidson") / "labeled_data.csv").open(encoding="utf-8", newline="") as file:
        rows = [(html.unescape(row["tweet"]).strip(), labels[int(row["class"])]) for row in csv.DictReader(file)]
    return _task("davidson", codebook, _texts(rows))


def _banking77() -> LabelTask:
    folder = find("banking77")
    labels = [name.replace("_", " ") for name in json.loads((folder / "categories.json").read_text(encoding="utf-8"))]
    codebook = _codebook(
        "banking77",
        "You label questions of a bank's customers.",
        "Which topic does this question belong to?",
        "The topic is",
        labels,
    )
    with (folder / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"].strip(), row["category"].replace("_", " ")) for row in csv.DictReader(file)]
    return _task("banking77", codebook, _texts(rows))


def _convabuse() -> LabelTask:
    codebook = _codebook(
        "convabuse",
        "You moderate conversations between people and a chatbot.",
        "Is the user abusive in the last turn of this conversation, or not?",
        "The user's last turn is",
        ("abusive", "not abusive"),
    ).model_copy(update={"unit": "conversation"})
    return _task("convabuse", codebook, _dialogues())


def _dialogues() -> Iterator[tuple[Item, str]]:
    """Give the dialogues on which most experts agree; ratings below 0 are abuse."""
    for part in ("train", "dev", "test"):
        content = json.loads((find("convabuse") / f"ConvAbuse_{part}.json").read_text(encoding="utf-8"))
        for key, dialogue in content.items():
            given = [int(rating) < 0 for rating in dialogue["annotations"].split(",")]
            if 2 * sum(given) == len(given):
                continue
            said = json.loads(dialogue["text"])
            turns = [
                Turn(speaker, said[name].strip())
                for name, speaker in (("prev_agent", "bot"), ("prev_user", "user"), ("agent", "bot"), ("user", "user"))
                if said[name].strip() not in ("", "_")
            ]
            is_abuse = 2 * sum(given) > len(given)
            yield Item(f"{part} {key}", turns=tuple(turns)), "abusive" if is_abuse else "not abusive"


def _cebab() -> LabelTask:
    names = ("one", "two", "three", "four", "five")
    stars = Question(
        name="stars",
        kind="score",
        ask="How many stars out of five does the writer of this review give the restaurant?",
        cue="The number of stars is",
        label=tuple(Label(name=name, value=value) for value, name in enumerate(names, 1)),
    )
    codebook = Codebook(name="cebab", instructions="You label restaurant reviews.", question=(stars,))
    reviews = json.loads((find("alttest") / "cebab_aspects" / "prompts.json").read_text(encoding="utf-8"))
    people = json.loads((find("alttest") / "cebab_stars" / "human_annotations.json").read_text(encoding="utf-8"))
    rows = []
    for item in sorted({item for labels in people.values() for item in labels}):
        counts = Counter(str(labels[item]) for labels in people.values() if item in labels).most_common()
        if len(counts) == 1 or counts[0][1] > counts[1][1]:
            rows.append((reviews[item.partition("__")[0]]["review"].strip(), counts[0][0]))
    return _task("cebab", codebook, _texts(rows))


def _epitome(name: str, dimension: str) -> Callable[[], LabelTask]:
    def task() -> LabelTask:
        book = Codebook.load(PROMPTS / "epitome")
        question = book.get(dimension).model_copy(update={"cue": "The level is"})
        experts = rated(empathy_data.ratings("epitome"), dimension)
        rows = [
            (Item(conversation, turns=tuple(Turn(who, said) for who, said in turns)), number_text(median))
            for conversation, turns in empathy_data.conversations()["epitome"]
            if (median := experts[conversation, "experts"]) is not None
        ]
        return _task(name, Codebook(**book.model_dump(exclude={"question"}), question=(question,)), rows)

    return task


TASKS: Final[Mapping[str, Callable[[], LabelTask]]] = {
    "amazon": _amazon,
    "movies": _movies,
    "tweets": _tweets,
    "clickbait": _clickbait,
    "davidson": _davidson,
    "convabuse": _convabuse,
    "cebab": _cebab,
    "banking77": _banking77,
    "epitome-reactions": _epitome("epitome-reactions", "level_emotional_reactions"),
    "epitome-explorations": _epitome("epitome-explorations", "level_explorations"),
    "epitome-interpretations": _epitome("epitome-interpretations", "level_interpretations"),
}
