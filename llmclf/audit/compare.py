"""Annotations of models and people -> the audit: who agrees with whom, question by question."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from llmclf.agreement import coefficients
from llmclf.agreement.non_inferiority import HolmVerdict, NonInferiority, holm_adjusted
from llmclf.agreement.pair_agreement import COEFFICIENTS
from llmclf.agreement.ratings import MISSING
from llmclf.annotations import Kind
from llmclf.audit.comparisons import agreement_of
from llmclf.audit.fitted_on import fitted_on
from llmclf.audit.labels import PEOPLE, Labels
from llmclf.audit.model_audit import (
    above_crowd,
    alternative_annotator,
    calibration,
    comparisons,
    corrections,
    crowd_worth,
    label_shares,
    stability,
    statuses,
    verdict,
)
from llmclf.audit.report import (
    Audit,
    Group,
    ModelAudit,
    PairAgreement,
    QuestionAudit,
    Settings,
)
from llmclf.audit.sources import Sourced
from llmclf.audit.warnings import question_warnings
from llmclf.audit.worst_items import Lookup, worst_items
from llmclf.codebook import Codebook, Question
from llmclf.errors import InputError
from llmclf.levels import Level
from llmclf.plan import versions
from llmclf.stability.measures import Change

Changes = Callable[[str, str], list[Change]]
_OVER_RATERS = ("percent_agreement", "krippendorff_alpha", "gwet_ac1")
"""What is also given for annotators like these."""


def audit(
    annotations: Iterable[Sourced],
    codebook: Codebook,
    settings: Settings | None = None,
    texts: Mapping[str, str] | None = None,
    record: Lookup | None = None,
    changes: Changes | None = None,
) -> Audit:
    """Compare every model with every expert and with the crowd, for each question that has annotations.

    The crowd's consensus on an item is the label that most gave or, for a score, the median; where there is no
    single one, the item is a tie.

    Args:
        annotations: of people and models.
        codebook: what they were asked.
        settings: what was fixed before; the defaults, if not given.
        texts: of items, by id, for those on which people and model differ most.
        record: looks up the requests and replies behind these, by job and number.
        changes: measures what other ways of asking do to a model's answers to a question, where it was so asked.

    Raises:
        InputError: there is no model or there are no people, or a question or a label is not in the codebook.

    """
    settings = settings or Settings()
    by_question: dict[str, list[Sourced]] = defaultdict(list)
    known = {question.name for question in codebook.questions}
    elsewhere: dict[str, None] = {}  # in order
    for row in annotations:
        if row.job and row.annotation.question not in known:  # a job may hold several codebooks
            elsewhere[f"{Path(row.job).name}, {row.prompt}: {row.annotation.question!r} is not in this codebook"] = None
        else:
            by_question[_question(row, codebook).name].append(row)
    if not by_question:
        raise InputError("there are no annotations to audit")
    labels = {
        question.name: Labels.of(question, by_question[question.name])
        for question in codebook.questions
        if question.name in by_question
    }
    verdicts = {(name, model): verdict(one, model, settings) for name, one in labels.items() for model in one.models}
    return Audit(
        llmclf=versions().get("llmclf", ""),
        codebook=codebook.name,
        codebook_hash=codebook.hash,
        settings=settings,
        warnings=[f"{what}, and is left out" for what in elsewhere],
        questions=[_of_question(one, verdicts, settings, texts or {}, record, changes) for one in labels.values()],
    )


def _question(row: Sourced, codebook: Codebook) -> Question:
    name = row.annotation.question
    if not name and len(codebook.questions) == 1:
        return codebook.questions[0]
    if not name:
        raise InputError(f"{row.where} does not say which question it answers", "Name it with --question")
    try:
        return codebook.get(name)
    except InputError as error:
        raise InputError(f"{row.where}: {error.message}") from None


def _of_question(
    labels: Labels,
    verdicts: Mapping[tuple[str, str], NonInferiority],
    settings: Settings,
    texts: Mapping[str, str],
    record: Lookup | None,
    changes: Changes | None,
) -> QuestionAudit:
    question = labels.question
    return QuestionAudit(
        question=question.name,
        ask=question.ask,
        kind=question.kind,
        level=str(question.level),
        scale=list(question.codes),
        n_items=len(labels.ratings.items),
        coefficient=COEFFICIENTS[question.level],
        people=[_group(labels, kind) for kind in PEOPLE if labels.names[kind]],
        pairs=_pairs(labels),
        models=[
            ModelAudit(
                annotator=model,
                statuses=statuses(labels, model),
                label_shares=label_shares(labels, model),
                non_inferiority=verdicts[question.name, model],
                holm=_holm(question.name, model, verdicts),
                above_crowd=above_crowd(labels, model),
                against=comparisons(labels, model),
                alternative_annotator=alternative_annotator(labels, model, settings.epsilons),
                crowd_worth=crowd_worth(labels, model),
                calibration=calibration(labels, model),
                stability=stability(labels, model),
                changes=changes(model, question.name) if changes else [],
                fitted_on=fitted_on(labels.own_rows(model)),
                corrected=corrections(labels, model),
                worst_items=worst_items(labels, model, texts, record),
            )
            for model in labels.models
        ],
        warnings=question_warnings(labels),
    )


def _holm(question: str, model: str, verdicts: Mapping[tuple[str, str], NonInferiority]) -> HolmVerdict:
    """Adjust over the questions that the model answered."""
    of_model = {name: found for (name, who), found in verdicts.items() if who == model}
    return holm_adjusted(of_model)[question]


def _group(labels: Labels, kind: Kind) -> Group:
    ratings = labels.ratings.select(labels.names[kind])
    given = ratings.codes != MISSING
    over_raters = [*_OVER_RATERS, *(["krippendorff_alpha_masi"] if ratings.level is Level.SET else [])]
    return Group(
        kind=str(kind),
        n_annotators=len(ratings.annotators),
        n_items=int(np.count_nonzero(given.any(axis=1))),
        n_ratings=int(np.count_nonzero(given)),
        coefficients=coefficients(ratings),
        over_items_and_raters=coefficients(ratings, over_raters, "items+raters"),
    )


def _pairs(labels: Labels) -> list[PairAgreement]:
    experts = [
        PairAgreement(kind="expert", annotators=pair, agreement=agreement_of(labels.beside, pair))
        for pair in combinations(labels.experts, 2)
    ]
    crowd = [
        PairAgreement(kind="crowd", annotators=pair, agreement=agreement_of(labels.beside, pair))
        for expert in labels.experts
        if labels.crowd_name
        for pair in [(labels.crowd_name, expert)]
    ]
    return [*experts, *crowd]
