"""The scikit-learn face: a classifier that needs no training."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from llmclf.annotations import Annotation
from llmclf.backends.base import Backend
from llmclf.backends.registry import open_backend
from llmclf.classifier import answer, learn
from llmclf.codebook import Codebook, Question
from llmclf.errors import InputError, MissingPackage
from llmclf.fitted import Fitted
from llmclf.frames import library_of, like, texts_of
from llmclf.items import items_of
from llmclf.policy import Policy

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
except ImportError:
    raise MissingPackage("ZeroShotClassifier needs scikit-learn", "Run: pip install 'llmclf[sklearn]'") from None


class ZeroShotClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Classifies texts by asking a language model.

    Give labels, or a codebook (an object, or a path) and, where it has several, the name of its question.
    X is a list, array or series of texts, or a frame with one column of them; a series or frame comes back as
    a series or frame of the same library. A text without an answer is predicted None, with probabilities NaN.

    Labels follow from replies by a policy: its name, a file, or an object. `fit` may be given unlabelled texts to learn
    a correction from; without `fit`, or with too few, texts that say nothing serve for that.

    `classes_` are the labels in sorted order: names, or the values of a `score` question. A `set` question
    predicts a row of 0 and 1, one column a label; a text without an answer is then a row of NaN.
    """

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        codebook: Codebook | str | None = None,
        question: str | None = None,
        backend: Backend | str = "local",
        policy: Policy | str = "default",
    ) -> None:
        self.labels = labels
        self.codebook = codebook
        self.question = question
        self.backend = backend
        self.policy = policy

    def fit(self, X: object = None, y: object = None) -> Self:  # noqa: ARG002, N803 - scikit-learn's own signature
        """Open the backend, and learn the policy's correction, from unlabelled texts where it takes any.

        What is predicted does not depend on what else is predicted.

        Raises:
            InputError: labels and codebook are both given or both missing, the question is not in the codebook, or
                the policy takes likelihoods, and the backend gives none.

        """
        book = self._codebook()
        if self.question is None and len(book.questions) > 1:
            names = ", ".join(question.name for question in book.questions)
            raise InputError(f"the codebook has the questions {names}", "Choose one with question=")
        question = book.get(self.question) if self.question else book.questions[0]
        self.question_ = question
        self.codebook_ = book.model_copy(update={"question": (question,)})
        self.classes_ = np.array(sorted(_class_by_code(question).values()))
        self.backend_ = open_backend(self.backend) if isinstance(self.backend, str) else self.backend
        policy = Policy.of(self.policy)
        texts = [] if X is None else items_of(texts_of(X))
        policy = _without_examples(policy.for_answers(self.codebook_, self.backend_.origin))
        self.decider_ = learn(texts, self.codebook_, self.backend_, policy)
        return self

    def predict(self, X: Any) -> Any:  # noqa: ANN401, N803 - scikit-learn's own signature
        """Give the most likely label of each text."""
        annotations = self._annotate(X)
        if self.question_.kind == "set":
            rows = [
                [np.nan if a.label is None else float(code in a.label) for code in self._codes] for a in annotations
            ]
            return self._table(X, np.array(rows).reshape(len(rows), len(self._codes)))
        by_code = _class_by_code(self.question_)
        labels = [None if a.label is None else by_code[str(a.label)] for a in annotations]
        return self._series(X, labels)

    def predict_proba(self, X: Any) -> Any:  # noqa: ANN401, N803 - scikit-learn's own signature
        """Give each label's probability, in the order of `classes_`; NaN where a server's tables do not tell it.

        Raises:
            InputError: the backend gives labels without probabilities.

        """
        annotations = self._annotate(X)
        labelled = [a for a in annotations if a.label is not None]
        if labelled and not any(a.probabilities for a in labelled):
            raise InputError(
                f"{self.backend_.name} gives no probabilities", "Use predict, a local model, or a server's top_logprobs"
            )
        rows = [[a.probabilities.get(code, np.nan) for code in self._codes] for a in annotations]
        return self._table(X, np.array(rows, dtype=float).reshape(len(rows), len(self._codes)))

    def __sklearn_clone__(self) -> Self:
        """Share the backend: a loaded model is not copied."""
        return type(self)(**self.get_params(deep=False))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "backend_")

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's own type, which moves between releases
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.requires_fit = False
        tags.no_validation = True
        return tags

    @property
    def _codes(self) -> list[str]:
        """The labels' codes in the order of `classes_`."""
        code_by_class = {value: code for code, value in _class_by_code(self.question_).items()}
        return [code_by_class[value] for value in self.classes_.tolist()]

    def _codebook(self) -> Codebook:
        if (self.labels is None) == (self.codebook is None):
            raise InputError("ZeroShotClassifier takes labels or a codebook", "Give one of the two")
        if self.labels is not None:
            return Codebook.from_labels(list(self.labels))
        return self.codebook if isinstance(self.codebook, Codebook) else Codebook.load(str(self.codebook))

    def _annotate(self, X: object) -> list[Annotation]:  # noqa: N803 - scikit-learn's own name
        if not hasattr(self, "backend_"):
            self.fit()
        return list(answer(items_of(texts_of(X)), self.codebook_, self.backend_, self.decider_))

    def _series(self, X: Any, labels: list[Any]) -> Any:  # noqa: ANN401, N803 - whatever came in
        if library_of(X) == "pandas":
            return like(X).Series(labels, index=X.index, name=self.question_.name)
        if library_of(X) == "polars":
            return like(X).Series(self.question_.name, labels)
        array = np.array(labels, dtype=object)
        return array if None in labels else array.astype(self.classes_.dtype)

    def _table(self, X: Any, values: NDArray[np.float64]) -> Any:  # noqa: ANN401, N803 - whatever came in
        names = [str(name) for name in self.classes_]
        if library_of(X) == "pandas":
            return like(X).DataFrame(values, index=X.index, columns=names)
        if library_of(X) == "polars":
            return like(X).DataFrame(values, schema=names)
        return values


def _without_examples(policy: Policy) -> Policy:
    """Give the policy without the ids of the items that it was fitted to: texts have none."""
    fitted = {
        name: Fitted.model_validate(one.model_dump(exclude={"folds", "judges"})) for name, one in policy.fitted.items()
    }
    return policy.model_copy(update={"fitted": fitted})


def _class_by_code(question: Question) -> dict[str, Any]:
    """Give what stands for a label in `classes_`, by the label's code."""
    return {label.code: label.code if label.value is None else label.value for label in question.labels}
