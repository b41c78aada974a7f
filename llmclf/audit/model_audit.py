"""What is said of one model's answers to one question."""

from collections import Counter

import numpy as np

from llmclf.agreement import Undefined
from llmclf.agreement.alternative_annotator import alternative_annotator_test
from llmclf.agreement.corrected import Corrected, corrected
from llmclf.agreement.counts import Floats
from llmclf.agreement.flip_rate import flip_rate
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.non_inferiority import NonInferiority, non_inferiority
from llmclf.agreement.paired_difference import PairedDifference, difference_from_annotator
from llmclf.agreement.probability_quality import (
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_diagram,
)
from llmclf.agreement.ratings import MISSING, Codes, Ratings
from llmclf.agreement.risk_coverage import risk_coverage
from llmclf.agreement.survey_equivalence import SurveyEquivalence, survey_equivalence
from llmclf.agreement.variance_components import (
    Facet,
    VarianceComponents,
    variance_components,
    variance_components_of_labels,
)
from llmclf.annotations import Kind, LabelValue
from llmclf.audit.comparisons import compare
from llmclf.audit.labels import Labels
from llmclf.audit.report import (
    AlternativeAnnotator,
    Calibration,
    Comparison,
    Settings,
    Stability,
)
from llmclf.errors import InputError
from llmclf.levels import Level

_BINS = 15
"""Of the calibration error, as in Guo et al. 2017."""
_MOST_PEOPLE = 200
"""In whose place a model is tried."""
_MOST_COUNTS = 10**8


def verdict(labels: Labels, model: str, settings: Settings) -> NonInferiority:
    """Test the model against the experts."""
    return non_inferiority(labels.beside, model, labels.experts, settings.margin, settings.ceiling)


def statuses(labels: Labels, model: str) -> dict[str, int]:
    """Count what became of the model's answers."""
    return dict(Counter(str(row.annotation.status) for row in labels.own_rows(model)))


def label_shares(labels: Labels, model: str) -> dict[str, float]:
    """Give the share of each label among the items that the model labelled."""
    given = [row.annotation.label for row in labels.own_rows(model) if row.annotation.label is not None]
    counted = Counter(code for label in given for code in _members(label))
    return {code: counted[code] / max(1, len(given)) for code in labels.question.codes}


def _members(label: LabelValue) -> tuple[str, ...]:
    return (label,) if isinstance(label, str) else label


def comparisons(labels: Labels, model: str) -> list[Comparison]:
    """Compare it with each expert, and with the crowd."""
    against = [compare(labels, model, expert, Kind.EXPERT) for expert in labels.experts]
    if labels.crowd_name:
        against.append(compare(labels, model, labels.crowd_name, Kind.CROWD))
    return against


def above_crowd(labels: Labels, model: str) -> PairedDifference | None:
    """Compare its agreement with the experts to the crowd's."""
    if not (labels.crowd_name and labels.experts):
        return None
    return difference_from_annotator(labels.beside, model, labels.crowd_name, labels.experts)


def alternative_annotator(labels: Labels, model: str, epsilons: tuple[float, ...]) -> AlternativeAnnotator | Undefined:
    """Put it in the place of each expert or, where there is one at most, of each of the crowd."""
    kind = Kind.EXPERT if len(labels.experts) >= 2 else Kind.CROWD
    people = labels.names[kind]
    if len(people) < 2:
        return Undefined("it takes two annotators or more of one kind")
    if len(people) > _MOST_PEOPLE:
        return Undefined(f"more than {_MOST_PEOPLE} annotators")
    found = alternative_annotator_test(labels.ratings.select([*people, model]), model, people)
    if isinstance(found, Undefined):
        return found
    return AlternativeAnnotator.model_validate({"kind": str(kind), **found.to_dict(epsilons)})


def crowd_worth(labels: Labels, model: str) -> SurveyEquivalence | Undefined | None:
    """Say how many crowd workers it is worth in predicting an expert or, without any, another worker."""
    if len(labels.names[Kind.CROWD]) < 2:
        return None
    if labels.crowd.n_items * labels.crowd.n_labels > _MOST_COUNTS:
        return Undefined("too many items and labels to count each label of each item")
    own = labels.ratings.select([model]).codes[:, 0]
    experts = LongForm.of(labels.ratings.select(labels.experts)) if labels.experts else None
    return survey_equivalence(labels.crowd, own, experts)


def calibration(labels: Labels, model: str) -> Calibration | Undefined | None:
    """Hold its probabilities against the consensus of the experts or, without any, of the crowd."""
    rows = [row.annotation for row in labels.own_rows(model) if row.annotation.probabilities]
    if not rows:
        return None
    if labels.question.kind == "set":
        return Undefined("the probabilities are of single labels, and the answers are sets")
    place = {item: at for at, item in enumerate(labels.ratings.items)}
    probabilities: Floats = np.full((len(place), len(labels.ratings.scale)), np.nan)
    for row in rows:
        if len(row.probabilities) == len(labels.ratings.scale):
            probabilities[place[row.item]] = [row.probabilities[code] for code in labels.ratings.scale]
    reference = labels.reference
    diagram = reliability_diagram(probabilities, reference)
    if isinstance(diagram, Undefined):
        return diagram
    return Calibration(
        reference="consensus of the experts" if labels.experts else "consensus of the crowd",
        origins=sorted({str(row.origin) for row in rows if row.origin}),
        n_items=sum(one.n_items for one in diagram),
        brier_score=brier_score(probabilities, reference),
        log_loss=log_loss(probabilities, reference),
        expected_calibration_error=expected_calibration_error(probabilities, reference, _BINS),
        n_bins=_BINS,
        reliability=list(diagram),
        risk_coverage=risk_coverage(probabilities, reference),
    )


def stability(labels: Labels, model: str) -> Stability | None:
    """Say how far its answers vary over prompts and runs, where it was asked by several or several times."""
    repeats = labels.repeats.get(model)
    if not repeats:
        return None
    prompts = list(dict.fromkeys(prompt for prompt, _ in repeats))
    runs = list(dict.fromkeys(run for _, run in repeats))
    missing = np.full(len(labels.ratings.items), MISSING, dtype=labels.ratings.codes.dtype)
    codes = np.stack(
        [np.stack([repeats.get((prompt, run), missing) for run in runs], axis=1) for prompt in prompts], axis=1
    )  # items x prompts x runs
    return Stability(
        n_prompts=len(prompts),
        n_runs=len(runs),
        flip_rate_of_runs=flip_rate(codes),
        flip_rate_of_prompts=flip_rate(np.swapaxes(codes, 1, 2)),
        components=_components(labels.ratings, codes),
    )


def _components(ratings: Ratings, codes: Codes) -> VarianceComponents | Undefined:
    n_prompts, n_runs = codes.shape[1:]
    facet: Facet = "prompt" if n_prompts > 1 else "run"
    table = codes[:, 0] if n_prompts == 1 else codes[..., 0] if n_runs == 1 else codes
    if ratings.level in (Level.NOMINAL, Level.SET):
        return variance_components_of_labels(table, facet)
    return variance_components(np.where(table == MISSING, np.nan, ratings.values[table]), facet=facet)


def corrections(labels: Labels, model: str) -> Corrected | Undefined | None:
    """Correct prevalence and mean by the experts' labels, where these are a probability sample."""
    sampled = {
        row.annotation.item: row.sampling_probability for row in labels.rows if row.sampling_probability is not None
    }
    if not sampled or not labels.experts:
        return None
    if labels.question.kind == "set":
        return Undefined("a corrected prevalence is of single labels, and the answers are sets")
    own = labels.ratings.select([model]).codes[:, 0]
    given = np.any(labels.ratings.select(labels.experts).codes != MISSING, axis=1)
    if tied := int(np.count_nonzero(given & (labels.reference == MISSING))):
        return Undefined(f"the experts have no single label for {tied} of the sampled items")
    both = Ratings(
        np.stack([own, labels.reference], axis=1),
        labels.ratings.items,
        (model, "experts"),
        labels.ratings.scale,
        labels.ratings.level,
        labels.ratings.scale_declared,
    )
    probability = np.array([sampled.get(item, np.nan) for item in both.items])
    try:
        return corrected(both, probability)
    except InputError as error:
        return Undefined(error.message)
