"""A student: a small classifier that learns a teacher's labels, and says of each text how sure it is of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement import Ratings
from llmclf.annotations import Annotation, Kind, LabelValue, label_text
from llmclf.errors import InputError
from llmclf.items import Item
from llmclf.levels import Level
from llmclf.students.fitting import Bools, Floats, fit, folds, probabilities_of
from llmclf.students.lessons import Lesson, Texts, Vector, choose_lessons, key_of, targets_of

_BATCH: Final = 4096
_DECIMALS: Final = 6


class Example(NamedTuple):
    """An item, and its embedding where the student reads these in place of its words."""

    item: Item
    vector: Vector | None = None


@dataclass(frozen=True, eq=False)
class Taught:
    """The m texts from which a student has learned."""

    keys: npt.NDArray[np.uint64]
    """Hashes of what they say, ascending."""
    given: Bools
    """Which labels the teacher gave: shape (m, q)."""
    cross_fitted: npt.NDArray[np.float32]
    """Probabilities by a student that has not learned from the text: shape (m, q)."""


@dataclass(frozen=True, eq=False)
class Student:
    """Labels texts as its teacher would: one logistic regression a label, on words and pairs of words or embeddings.

    Its probabilities are calibrated to what the teacher says, right or wrong. A text from which it has learned is
    labelled by a student that has not, so that it may be audited on all texts alike.
    """

    question: str
    teacher: str
    codes: tuple[str, ...]
    is_set: bool
    weights: npt.NDArray[np.float32]
    """Shape (terms or dimensions, q)."""
    bias: Floats
    """Shape (q,)."""
    words: Any
    """scikit-learn's TfidfVectorizer; None where embeddings are read."""
    taught: Taught
    strength: float
    """Of the data against the ridge penalty, as it was chosen."""
    too_rare: Mapping[str, int]
    """Labels that it never gives, and to how few texts the teacher gave them."""
    source: str
    """The hash of the file with the teacher's labels."""

    @classmethod
    def fit(cls, lessons: Iterable[Lesson], *, question: str = "", teacher: str = "", source: str = "") -> Self:
        """Learn from what a teacher said, in any order; of texts that are the same the first counts.

        Raises:
            InputError: there are too few texts, or they tell nothing apart.
            MissingPackage: scikit-learn is not installed.

        """
        learned, codes, too_rare = choose_lessons(lessons)
        given = np.array([[code in lesson.labels for code in codes] for lesson in learned])
        is_set = isinstance(learned[0].label, tuple)
        _, strata = np.unique([label_text(lesson.label) for lesson in learned], return_inverse=True)
        texts = Texts.of(learned)
        targets = targets_of(learned, codes, given)
        found = fit(texts.features, texts.split, targets, given, folds(strata), is_set=is_set)
        weights = found.weights / texts.spread
        return cls(
            question=question,
            teacher=teacher,
            codes=codes,
            is_set=is_set,
            weights=weights.astype(np.float32),
            bias=found.bias - (texts.mean * weights).sum(axis=0),
            words=texts.words,
            taught=Taught(
                np.array([key_of(lesson.text) for lesson in learned], dtype=np.uint64),
                given,
                found.cross_fitted.astype(np.float32),
            ),
            strength=found.strength,
            too_rare=too_rare,
            source=source,
        )

    @property
    def annotator(self) -> str:
        """What it is called among annotators."""
        return f"student({self.teacher})"

    def probabilities(self, texts: Sequence[str], vectors: Sequence[Vector] = ()) -> Floats:
        """Give each label's probability: shape (texts, q), columns as `codes`.

        Args:
            texts: one or more.
            vectors: their embeddings, where it reads these.

        Raises:
            InputError: it reads embeddings and there are none, or of another length.

        """
        features = self.words.transform(texts) if self.words else self._embeddings(vectors)
        found = probabilities_of(features @ self.weights + self.bias, is_set=self.is_set)
        for place, text in enumerate(texts):
            row = self._row_by_key.get(key_of(text))
            if row is not None:
                found[place] = self.taught.cross_fitted[row]
        return found

    def knows(self, text: str) -> bool:
        """Say whether it has learned from the text, so that the teacher's own label is there."""
        return key_of(text) in self._row_by_key

    def annotate(self, examples: Iterable[Example]) -> Iterator[Annotation]:
        """Label items as a stream, in their order; one that nothing can be asked about has no label."""
        stream = iter(examples)
        while batch := list(islice(stream, _BATCH)):
            labels = self._label([example for example in batch if not example.item.problem])
            for item, _ in batch:
                yield self._problem(item) if item.problem else next(labels)

    def confidence(self, probabilities: npt.NDArray[Any]) -> Floats:
        """Give the probability of the label that is given, for rows of probabilities: shape (rows,).

        Of a set it is that of all its labels, taken as independent.
        """
        p = np.maximum(probabilities, 1 - probabilities).prod(axis=1) if self.is_set else probabilities.max(axis=1)
        return _rounded(p)

    def threshold(self, share: float) -> float:
        """Give the confidence below which it labels this share of the teacher's texts."""
        return float(np.quantile(self.confidence(self.taught.cross_fitted), share, method="higher"))

    def beside_teacher(self, least_confidence: float = 0.0) -> Ratings:
        """Give the teacher's labels of the texts beside the cross-fitted ones that are at least so confident."""
        sure = self.confidence(self.taught.cross_fitted) >= least_confidence
        columns = [
            [label_text(label) for label in self._labels(rows[sure])]
            for rows in (self.taught.given, self.taught.cross_fitted)
        ]
        scale = tuple(sorted(set(chain(*columns)))) if self.is_set else self.codes
        place = {label: code for code, label in enumerate(scale)}
        codes = np.array([[place[label] for label in column] for column in columns], dtype=np.int32).T
        level = Level.SET if self.is_set else Level.NOMINAL
        items = tuple(map(str, np.flatnonzero(sure)))
        return Ratings(codes, items, (self.teacher, self.annotator), scale, level, scale_declared=not self.is_set)

    @cached_property
    def _row_by_key(self) -> dict[int, int]:
        return {key: row for row, key in enumerate(self.taught.keys.tolist())}

    def _embeddings(self, vectors: Sequence[Vector]) -> Vector:
        if not vectors:
            raise InputError("the student reads embeddings", "Give --embeddings, as for its training")
        features = np.stack(vectors)
        if features.shape[1] != len(self.weights):
            raise InputError(
                f"the student reads embeddings of {len(self.weights)} numbers, and these have {features.shape[1]}",
                "Give those of the same model",
            )
        return features

    def _label(self, examples: Sequence[Example]) -> Iterator[Annotation]:
        if not examples:
            return
        vectors = [example.vector for example in examples if example.vector is not None]
        found = self.probabilities([example.item.words for example in examples], vectors)
        rows = zip(
            examples, self._labels(found), self.confidence(found).tolist(), _rounded(found).tolist(), strict=True
        )
        for (item, _), label, probability, probabilities in rows:
            by_code = dict(zip(self.codes, probabilities, strict=True))
            yield Annotation(
                item.id, self.question, self.annotator, Kind.MODEL, label, probability, by_code, origin="student"
            )

    def _problem(self, item: Item) -> Annotation:
        assert item.problem is not None
        return Annotation(item.id, self.question, self.annotator, Kind.MODEL, None, status=item.problem)

    def _labels(self, probabilities: npt.NDArray[Any]) -> list[LabelValue]:
        if not self.is_set:
            return [self.codes[code] for code in probabilities.argmax(axis=1).tolist()]
        rows = (probabilities > 0.5).tolist()
        return [tuple(code for code, applies in zip(self.codes, row, strict=True) if applies) for row in rows]


def _rounded(probabilities: npt.NDArray[Any]) -> Floats:
    """Round, and leave nothing impossible."""
    least = 10.0**-_DECIMALS
    return np.asarray(np.maximum(np.round(probabilities.astype(np.float64), _DECIMALS), least))
