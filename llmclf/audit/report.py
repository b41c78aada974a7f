"""The audit as a typed document: what the JSON holds and every rendering shows.

Its parts are the results of `llmclf.agreement` as they are; what is not defined is `{undefined: reason}`.
"""

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from llmclf.agreement import Coefficient, Undefined
from llmclf.agreement.alternative_annotator import AtEpsilon, InPlaceOf
from llmclf.agreement.classification import ClassAgreement
from llmclf.agreement.corrected import Corrected
from llmclf.agreement.marginal_homogeneity import HomogeneityTest
from llmclf.agreement.non_inferiority import HolmVerdict, NonInferiority
from llmclf.agreement.paired_difference import PairedDifference
from llmclf.agreement.probability_quality import ReliabilityBin
from llmclf.agreement.risk_coverage import RiskCoverage
from llmclf.agreement.survey_equivalence import SurveyEquivalence
from llmclf.agreement.variance_components import VarianceComponents
from llmclf.annotations import FittedOn
from llmclf.served import Served
from llmclf.stability.measures import Change

Coefficients: TypeAlias = dict[str, Coefficient]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    labels: list[ClassAgreement]
    """The person is the reference; of sets, whether each label is in them."""
    confusion: list[list[int]]
    """Theirs by row, the model's by column, in the scale's order; empty for sets."""
    marginal_homogeneity: HomogeneityTest | Undefined
    divergence: str | None
    """What it means that kappa and Gwet's AC1 lie apart, where they do."""


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
    risk_coverage: RiskCoverage | Undefined


class Stability(_Part):
    """Whether the model says the same when it is asked again, or asked in other words."""

    n_prompts: int
    n_runs: int
    flip_rate_of_runs: Coefficient
    flip_rate_of_prompts: Coefficient
    components: VarianceComponents | Undefined


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
    """The verdict that stands among those on all questions."""
    above_crowd: PairedDifference | None
    """Its agreement with experts less the crowd's; None without a crowd or experts."""
    against: list[Comparison]
    alternative_annotator: AlternativeAnnotator | Undefined
    crowd_worth: SurveyEquivalence | Undefined | None
    """How many crowd workers it is worth; None without a crowd."""
    calibration: Calibration | Undefined | None
    """None without probabilities."""
    stability: Stability | None
    """Over the prompts and runs that tables or several plans tell apart; None where it was asked once, by one."""
    changes: list[Change]
    """What other ways of asking, on record in its job, do to its answers to the plain question."""
    fitted_on: dict[FittedOn, int]
    """Answers about items to whose labels its policy was fitted: with the item among them, or by the others alone."""
    corrected: Corrected | Undefined | None
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
    policy: str
    """By which labels were decided on."""
    ways: list[str]
    """In which the questions were asked, for labels or for stability."""
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
