"""The audit as a typed document: what the JSON holds and every rendering shows."""

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from llmclf.agreement.non_inferiority import MarginVerdict, Target, Verdict
from llmclf.served import Served


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Value(_Part):
    """An estimate with its 95 % interval; where that is None, `method` says why."""

    value: float
    se: float | None
    low: float | None
    high: float | None
    n_items: int
    method: str


class NoValue(_Part):
    """What is not defined, and the reason."""

    undefined: str


Coefficient: TypeAlias = Value | NoValue
Coefficients: TypeAlias = dict[str, Coefficient]


class Group(_Part):
    """The annotators of one kind, among themselves."""

    kind: str
    n_annotators: int
    n_items: int
    """Items that any of them labelled."""
    n_ratings: int
    coefficients: Coefficients
    over_items_and_raters: Coefficients
    """The same for annotators like these, of whom these are a sample."""


class PairAgreement(_Part):
    """The agreement of two people, or of an expert with the consensus of the crowd."""

    kind: Literal["expert", "crowd"]
    annotators: tuple[str, str]
    agreement: Coefficient


class Baseline(_Part):
    """An annotator that gives every item the label that people give most."""

    label: str
    coefficients: Coefficients


class LabelAgreement(_Part):
    """A model and one person on one label: how often each gave it, and what came together."""

    label: str
    n_reference: int
    """The person's."""
    n_judged: int
    """The model's, on the same items."""
    n_both: int
    precision: Coefficient
    recall: Coefficient
    f1: Coefficient


class Homogeneity(_Part):
    """A test of the hypothesis that both give each label equally often."""

    statistic: float | None
    df: int | None
    p: float
    n_items: int
    method: str


class Comparison(_Part):
    """A model against one person, or against the consensus of a crowd."""

    kind: str
    annotator: str
    """The person's name, or `consensus of N`."""
    n_items: int
    """Items that both labelled."""
    ties: int
    """Items left out because the crowd has no single consensus."""
    agreement: Coefficient
    """By the coefficient that the verdict rests on."""
    coefficients: Coefficients
    baseline: Baseline | None
    """None where no item has a label of theirs."""
    labels: list[LabelAgreement]
    confusion: list[list[int]]
    """Theirs by row, the model's by column, in the scale's order; empty for sets."""
    marginal_homogeneity: Homogeneity | NoValue
    divergence: str | None
    """What it means that kappa and Gwet's AC1 lie apart, where they do."""


class MarginTest(_Part):
    """A difference against the margin, by one-sided 95 % t bounds."""

    target: Target
    lower: float
    upper: float
    df: int
    p_non_inferior: float
    p_worse: float
    verdict: MarginVerdict


class PairedDifference(_Part):
    """A model's mean agreement with the experts, less a reference from the same items."""

    coefficient: str
    n_experts: int
    agreement: Coefficient
    reference: Coefficient
    difference: Coefficient
    experts_like_these: Coefficient
    strangers: list[tuple[str, str]]


class ItemsNeeded(_Part):
    """How many items would decide with 80 % power."""

    if_as_observed: int | None
    if_equal: int


class NonInferiority(_Part):
    """Whether a model agrees with the experts as they agree among themselves, up to a margin."""

    verdict: Verdict
    reason: str
    margin: float
    ceiling: float
    ceiling_lower: float | None
    these_experts: MarginTest | NoValue
    experts_like_these: MarginTest | NoValue
    items_needed: ItemsNeeded | None
    comparison: PairedDifference


class HolmVerdict(_Part):
    """The verdict that stands among those on all questions."""

    verdict: Verdict
    n_tested: int
    p_non_inferior: float | None
    p_worse: float | None


class InPlaceOf(_Part):
    """The model in one annotator's place."""

    annotator: str
    n_items: int
    model: float
    human: float
    sd: float


class AtEpsilon(_Part):
    """The outcome for one epsilon."""

    epsilon: float
    winning_rate: float
    passes: bool
    p: list[float]
    wins: list[bool]


class AlternativeAnnotator(_Part):
    """The alternative annotator test; to pass it is not to be non-inferior."""

    kind: Literal["expert", "crowd"]
    """Who it was tested against."""
    score: str
    advantage_probability: float
    annotators: list[InPlaceOf]
    left_out: list[str]
    at: list[AtEpsilon]
    curve: list[tuple[float, float]]


class Workers(_Part):
    """A number of workers, or a bound on it."""

    number: float
    bound: Literal["fewer than", "at least"] | None


class CurvePoint(_Part):
    """The score of surveys of one size."""

    survey_size: int
    score: Value


class CrowdWorth(_Part):
    """How many crowd workers the model is worth: survey equivalence."""

    workers: Workers
    low: Workers
    high: Workers
    model: Value
    curve: list[CurvePoint]
    score: str
    answer: str
    """Whose answer is predicted."""
    n_items: int
    n_left_out: int
    method: str


class ReliabilityBin(_Part):
    """The items whose top label has a probability in the bin."""

    low: float
    high: float
    n_items: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


class RiskCoveragePoint(_Part):
    """What comes of answering only at `threshold` or above."""

    threshold: float
    coverage: float
    risk: float
    low: float
    high: float


class RiskCoverage(_Part):
    """The curve from the surest items to all, and the area under it."""

    curve: list[RiskCoveragePoint]
    area: Value


class Calibration(_Part):
    """Whether probabilities mean what they say, against the people's consensus."""

    reference: str
    origins: list[str]
    """Where the probabilities come from."""
    n_items: int
    brier_score: Coefficient
    log_loss: Coefficient
    expected_calibration_error: Coefficient
    n_bins: int
    """Of the calibration error; the diagram has its own."""
    reliability: list[ReliabilityBin]
    risk_coverage: RiskCoverage | NoValue


class Component(_Part):
    """One source of variance."""

    name: str
    variance: Value
    share: float
    mean_square: float
    degrees_of_freedom: int


class VarianceComponents(_Part):
    """The parts of the variance of one answer about one item."""

    components: list[Component]
    n_items: int
    n_left_out: int
    method: str


class Stability(_Part):
    """Whether the model says the same when it is asked again, or asked in other words."""

    n_prompts: int
    n_runs: int
    flip_rate_of_runs: Coefficient
    flip_rate_of_prompts: Coefficient
    components: VarianceComponents | NoValue


class Corrections(_Part):
    """One number about all items, from the model's labels alone and corrected in three ways."""

    uncorrected: Coefficient
    design_supervised: Coefficient
    prediction_powered: Coefficient
    rogan_gladen: Coefficient | None


class Corrected(_Part):
    """What the experts would have labelled, had they labelled all items."""

    estimand: str
    n_items: int
    n_expert: int
    prevalence: dict[str, Corrections]
    mean: Corrections | None


class RecordOfAnswer(_Part):
    """A request and its reply, as they are on record."""

    job: str
    number: int
    prompt: list[tuple[str, str]]
    """Role and text of each message."""
    reply: str


class WorstItem(_Part):
    """An item on which people agree among themselves, and not with the model."""

    item: str
    label: str
    """The model's."""
    probability: float | None
    people: dict[str, int]
    """How many people gave each label."""
    labels: dict[str, str]
    """Each person's label."""
    text: str | None
    rationale: str
    records: list[RecordOfAnswer]


class ModelAudit(_Part):
    """One model's answers to one question."""

    annotator: str
    statuses: dict[str, int]
    label_shares: dict[str, float]
    """Of the items with a label."""
    non_inferiority: NonInferiority
    holm: HolmVerdict
    above_crowd: PairedDifference | None
    """Its agreement with experts less the crowd's; None without a crowd or experts."""
    against: list[Comparison]
    alternative_annotator: AlternativeAnnotator | NoValue
    crowd_worth: CrowdWorth | NoValue | None
    """None without a crowd."""
    calibration: Calibration | NoValue | None
    """None without probabilities."""
    stability: Stability | None
    """None where it was asked once, by one prompt."""
    corrected: Corrected | NoValue | None
    """None where the table has no sampling probabilities."""
    worst_items: list[WorstItem]


class QuestionAudit(_Part):
    """One question: people among themselves, and each model beside them."""

    question: str
    ask: str
    kind: str
    level: str
    scale: list[str]
    n_items: int
    coefficient: str
    """What measures the agreement of two annotators, and what the verdict rests on."""
    people: list[Group]
    pairs: list[PairAgreement]
    models: list[ModelAudit]
    warnings: list[str]


class Source(_Part):
    """A file that was read."""

    name: str
    sha256: str
    n_annotations: int


class Plan(_Part):
    """How a model was asked, as its job has it."""

    job: str
    number: int
    annotator: str
    model: dict[str, Any]
    settings: dict[str, Any]
    prompts: dict[str, str]
    """The hash of each template, by its name."""
    order: str
    samples: int
    versions: dict[str, str]
    served: list[Served]
    """The models that answered, as the server named them; more than one, and the model changed."""


class Settings(_Part):
    """What was fixed before the labels were compared."""

    margin: float = 0.1
    ceiling: float = 0.0
    epsilons: tuple[float, ...] = (0.1, 0.15, 0.2)


class Audit(_Part):
    """Models beside people, question by question."""

    llmclf: str
    codebook: str
    codebook_hash: str
    settings: Settings
    sources: list[Source] = []
    plans: list[Plan] = []
    warnings: list[str] = []
    questions: list[QuestionAudit]
