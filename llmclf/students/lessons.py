"""What a student learns from: a teacher's labels of texts, and the texts as numbers."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from llmclf.annotations import LabelValue, label_text
from llmclf.errors import InputError, MissingPackage
from llmclf.students.fitting import Bools, Features, Floats, Split

Vector = npt.NDArray[np.float32]

LEAST_TEXTS: Final = 50
"""From which a student learns."""
LEAST_OF_LABEL: Final = 5
"""Texts with a label, below which it is not learned."""
_MOST_TERMS: Final = 2**18
_UNSPACED: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Scripts that do not part words by spaces, whose characters are terms: Thai, Lao, Burmese, Khmer, kana and Han."""
_TERM: Final = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]"


class Lesson(NamedTuple):
    """What the teacher said of a text."""

    text: str
    label: LabelValue
    probabilities: Mapping[str, float] = {}
    """By label, if the teacher gave them."""
    vector: Vector | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that were given: of a set any number, otherwise one."""
        return self.label if isinstance(self.label, tuple) else (self.label,)


def key_of(text: str) -> int:
    """Give the number by which a text is known again."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def vectorizer(terms: Sequence[str] | None = None) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Give scikit-learn's TF-IDF of words, marks and pairs of these; without terms it chooses the most frequent.

    Raises:
        MissingPackage: scikit-learn is not installed.

    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingPackage("a student needs scikit-learn", "Run: pip install 'llmclf[sklearn]'") from None
    return TfidfVectorizer(
        token_pattern=_TERM,
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=_MOST_TERMS,
        vocabulary=terms,
        dtype=np.float32,
    )


def choose_lessons(lessons: Iterable[Lesson]) -> tuple[list[Lesson], tuple[str, ...], dict[str, int]]:
    """Choose the lessons, in an order of their own, and the labels that can be learned."""
    by_key: dict[int, Lesson] = {}
    for lesson in lessons:
        by_key.setdefault(key_of(lesson.text), lesson)
    learned = [by_key[key] for key in sorted(by_key)]
    if len({isinstance(lesson.label, tuple) for lesson in learned}) > 1:
        raise InputError("some labels are sets and some are not", "Give the labels of one question")
    counts = Counter(label for lesson in learned for label in lesson.labels)
    too_rare = {label: n for label, n in sorted(counts.items()) if n < LEAST_OF_LABEL}
    learned = [one for one in learned if isinstance(one.label, tuple) or one.label not in too_rare]
    if len(learned) < LEAST_TEXTS:
        raise InputError(
            f"a student needs {LEAST_TEXTS} labelled texts, and there are {len(learned)}",
            f"Have more labelled; equal texts count once, and a label counts from {LEAST_OF_LABEL} texts on",
        )
    if len({lesson.label for lesson in learned}) < 2:
        raise InputError(
            f"a student has nothing to tell apart: all texts have the label {label_text(learned[0].label)}",
            "Have more texts labelled",
        )
    as_asked = dict.fromkeys(label for lesson in learned for label in lesson.probabilities)
    codes = tuple(label for label in (as_asked | dict.fromkeys(sorted(counts))) if counts[label] >= LEAST_OF_LABEL)
    if not codes:
        raise InputError(f"no label was given to {LEAST_OF_LABEL} texts", "Have more texts labelled")
    return learned, codes, too_rare


@dataclass(frozen=True, eq=False)
class Texts:
    """The texts as numbers: TF-IDF of their words, or standard scores of embeddings."""

    features: Features
    split: Split
    words: Any
    """scikit-learn's TfidfVectorizer; None where there are embeddings."""
    mean: Floats
    """Of each embedding's number, as the next: shape (dimensions, 1)."""
    spread: Floats

    @classmethod
    def of(cls, lessons: Sequence[Lesson]) -> Self:
        """Give the numbers that a student learns from.

        Raises:
            MissingPackage: scikit-learn is not installed.

        """
        vectors = [lesson.vector for lesson in lessons if lesson.vector is not None]
        if not vectors:
            texts = np.array([lesson.text for lesson in lessons], dtype=object)
            words = vectorizer()
            return cls(words.fit_transform(texts), partial(_split, texts), words, np.zeros((1, 1)), np.ones((1, 1)))
        dense = np.stack(vectors).astype(np.float64)
        mean, spread = dense.mean(axis=0), dense.std(axis=0)
        spread[spread == 0] = 1.0
        scores = (dense - mean) / spread
        return cls(scores, lambda kept: (scores[kept], scores[~kept]), None, mean[:, np.newaxis], spread[:, np.newaxis])


def _split(texts: npt.NDArray[np.object_], kept: Bools) -> tuple[Features, Features]:
    # The words of a text that is held out must be as unknown as a new text's: they weigh in its length.
    words = vectorizer()
    return words.fit_transform(texts[kept]), words.transform(texts[~kept])


def targets_of(lessons: Sequence[Lesson], codes: Sequence[str], given: Bools) -> Floats:
    """Give the teacher's probabilities; where it gave none, or another label than they favour, the label alone."""
    targets = given.astype(np.float64)
    for row, lesson in enumerate(lessons):
        if isinstance(lesson.label, tuple):
            for place, code in enumerate(codes):
                targets[row, place] = lesson.probabilities.get(code, targets[row, place])
            continue
        p = np.array([lesson.probabilities.get(code, 0.0) for code in codes])
        if given[row, p.argmax()] and p.max() > 0:
            targets[row] = p / p.sum()
    return targets
