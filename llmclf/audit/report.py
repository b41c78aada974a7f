"""The audit as a typed document: what the JSON holds and every rendering shows."""

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from llmclf.served import Served

Coefficients: TypeAlias = dict[str, dict[str, Any]]
"""By name: `{value, se, low, high, n_items, method}`, or `{undefined: reason}`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(_Part):
    """The annotators of one kind, among themselves."""

    kind: str
    n_annotators: int
    n_items: int
    """Items that any of them labelled."""
    coefficients: Coefficients


class Baseline(_Part):
    """An annotator that gives every item the label that people give most."""

    label: str
    coefficients: Coefficients


class Comparison(_Part):
    """A model against one person, or against the consensus of a crowd."""

    kind: str
    annotator: str
    """The person's name, or `consensus of N`."""
    n_items: int
    """Items that both labelled."""
    ties: int
    """Items left out because the crowd has no single consensus."""
    coefficients: Coefficients
    baseline: Baseline | None
    """None where no item has a label of theirs."""


class WorstItem(_Part):
    """An item on which people agree among themselves, and not with the model."""

    item: str
    label: str
    """The model's."""
    probability: float | None
    people: dict[str, int]
    """How many people gave each label."""
    text: str | None


class ModelAudit(_Part):
    """One model's answers to one question."""

    annotator: str
    statuses: dict[str, int]
    label_shares: dict[str, float]
    """Of the items with a label."""
    against: list[Comparison]
    worst_items: list[WorstItem]


class QuestionAudit(_Part):
    """One question: people among themselves, and each model beside them."""

    question: str
    kind: str
    level: str
    scale: list[str]
    people: list[Group]
    models: list[ModelAudit]


class ServedPlan(_Part):
    """The models that answered one plan of a job, as the server named them; more than one, and the model changed."""

    job: str
    plan: int
    annotator: str
    models: list[Served]


class Audit(_Part):
    """Models beside people, question by question."""

    codebook: str
    codebook_hash: str
    questions: list[QuestionAudit]
    served: list[ServedPlan] = []
    """Of the jobs that were given."""
