"""Annotations of models and people -> the audit: who agrees with whom, question by question."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_high, median_low

from llmclf.agreement import Rating, Ratings, coefficients
from llmclf.annotations import Annotation, Kind, LabelValue, label_text
from llmclf.audit.report import Audit, Baseline, Coefficients, Comparison, Group, ModelAudit, QuestionAudit, WorstItem
from llmclf.codebook import Codebook, Question
from llmclf.errors import InputError, ScaleError
from llmclf.levels import Level

PEOPLE = (Kind.EXPERT, Kind.CROWD)
WORST_ITEMS = 10
_CONSENSUS, _BASELINE = "consensus", "majority class"


@dataclass(frozen=True, slots=True)
class Sourced:
    """An annotation and where it stands, for error messages."""

    annotation: Annotation
    where: str


def audit(annotations: Iterable[Sourced], codebook: Codebook, texts: Mapping[str, str] | None = None) -> Audit:
    """Compare every model with every expert and with the crowd's consensus, for each question that has annotations.

    The consensus on an item is the label that most gave or, for a score, the median; where there is no
    single one, the item is a tie.

    Raises:
        InputError: there is no model or there are no people, or a question or a label is not in the codebook.

    """
    by_question: dict[str, list[Sourced]] = defaultdict(list)
    for row in annotations:
        by_question[_question(row, codebook).name].append(row)
    if not by_question:
        raise InputError("there are no annotations to audit")
    return Audit(
        codebook=codebook.name,
        codebook_hash=codebook.hash,
        questions=[
            _audit_question(question, by_question[question.name], texts or {})
            for question in codebook.questions
            if question.name in by_question
        ],
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


def _audit_question(question: Question, rows: list[Sourced], texts: Mapping[str, str]) -> QuestionAudit:
    rows = [replace(row, annotation=replace(row.annotation, label=_read_label(question, row))) for row in rows]
    names = _names_by_kind(rows)
    if not names[Kind.MODEL]:
        raise InputError(
            f"question {question.name!r} has no annotations of a model", "Give the table that `llmclf annotate` wrote"
        )
    if not any(names[kind] for kind in PEOPLE):
        raise InputError(
            f"question {question.name!r} has no annotations of people", "Give a table of experts or of a crowd"
        )
    ratings = _ratings(question, [(row.annotation, row.where) for row in rows])
    return QuestionAudit(
        question=question.name,
        kind=question.kind,
        level=str(question.level),
        scale=list(question.codes),
        people=[_group(kind, ratings.select(names[kind])) for kind in PEOPLE if names[kind]],
        models=[_audit_model(question, model, rows, names, texts) for model in names[Kind.MODEL]],
    )


def _read_label(question: Question, row: Sourced) -> LabelValue | None:
    label = row.annotation.label
    if label is None:
        return None
    if isinstance(label, tuple) != (question.kind == "set"):
        raise ScaleError(
            f"{row.where}: {label_text(label)!r} is no answer to the {question.kind} question {question.name!r}"
        )
    try:
        return tuple(map(question.read, label)) if isinstance(label, tuple) else question.read(label)
    except ScaleError as error:
        raise ScaleError(f"{row.where}: {error.message}") from None


def _names_by_kind(rows: Iterable[Sourced]) -> dict[Kind, list[str]]:
    kinds: dict[str, Kind] = {}
    for row in rows:
        name, kind = row.annotation.annotator, row.annotation.kind
        if kinds.setdefault(name, kind) is not kind:
            raise InputError(
                f"{row.where}: the annotator {name!r} is {kind} here and {kinds[name]} elsewhere",
                "Give each a name of its own",
            )
    return {kind: [name for name, its_kind in kinds.items() if its_kind is kind] for kind in Kind}


def _ratings(question: Question, rows: Iterable[tuple[Annotation, str]]) -> Ratings:
    ratings = [Rating(a.item, a.annotator, label_text(a.label), where) for a, where in rows]
    return Ratings.from_rows(ratings, question.level, None if question.level is Level.SET else question.codes)


def _group(kind: Kind, ratings: Ratings) -> Group:
    n_items = int((ratings.codes >= 0).any(axis=1).sum())
    return Group(
        kind=str(kind), n_annotators=len(ratings.annotators), n_items=n_items, coefficients=_coefficients(ratings)
    )


def _coefficients(ratings: Ratings) -> Coefficients:
    return {name: dict(coefficient.to_dict()) for name, coefficient in coefficients(ratings).items()}


def _audit_model(
    question: Question,
    model: str,
    rows: Sequence[Sourced],
    names: Mapping[Kind, list[str]],
    texts: Mapping[str, str],
) -> ModelAudit:
    own = [row.annotation for row in rows if row.annotation.annotator == model]
    said = {annotation.item: label_text(annotation.label) for annotation in own if annotation.label is not None}
    people = _label_counts(rows, PEOPLE)
    against = [
        _comparison(Kind.EXPERT, expert, said, _labels_of(rows, expert), 0, question) for expert in names[Kind.EXPERT]
    ]
    if crowd := names[Kind.CROWD]:
        counts = _label_counts(rows, [Kind.CROWD])
        agreed = {item: label for item, count in counts.items() if (label := _consensus(question, count)) is not None}
        ties = sum(item in said for item in counts if item not in agreed)
        name = crowd[0] if len(crowd) == 1 else f"{_CONSENSUS} of {len(crowd)}"
        against.append(_comparison(Kind.CROWD, name, said, agreed, ties, question))
    counted = Counter(label for a in own if a.label is not None for label in _members(a.label))
    return ModelAudit(
        annotator=model,
        statuses=dict(Counter(str(annotation.status) for annotation in own)),
        label_shares={code: counted[code] / max(1, len(said)) for code in question.codes},
        against=against,
        worst_items=_worst_items(own, people, texts),
    )


def _members(label: LabelValue) -> tuple[str, ...]:
    return (label,) if isinstance(label, str) else label


def _labels_of(rows: Iterable[Sourced], annotator: str) -> dict[str, str]:
    labels = ((row.annotation.item, row.annotation.label) for row in rows if row.annotation.annotator == annotator)
    return {item: label_text(label) for item, label in labels if label is not None}


def _label_counts(rows: Iterable[Sourced], kinds: Sequence[Kind]) -> dict[str, Counter[str]]:
    """Count the labels that annotators of these kinds gave each item."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.annotation.kind in kinds and row.annotation.label is not None:
            counts[row.annotation.item][label_text(row.annotation.label)] += 1
    return counts


def _consensus(question: Question, counts: Counter[str]) -> str | None:
    """Give the label that most gave or, for a score, the median; None where there is no single one."""
    if question.kind == "score":
        ranks = sorted(question.codes.index(label) for label in counts.elements())
        low, high = median_low(ranks), median_high(ranks)
        return question.codes[low] if low == high else None
    (label, most), *others = counts.most_common(2)
    return None if others and others[0][1] == most else label


def _comparison(
    kind: Kind, annotator: str, said: Mapping[str, str], theirs: Mapping[str, str], ties: int, question: Question
) -> Comparison:
    both = [item for item in theirs if item in said]
    usual = Counter(theirs[item] for item in both).most_common(1)
    return Comparison(
        kind=str(kind),
        annotator=annotator,
        n_items=len(both),
        ties=ties,
        coefficients=_pair({item: said[item] for item in both}, theirs, question),
        baseline=Baseline(label=usual[0][0], coefficients=_pair(dict.fromkeys(both, usual[0][0]), theirs, question))
        if usual
        else None,
    )


def _pair(ours: Mapping[str, str], theirs: Mapping[str, str], question: Question) -> Coefficients:
    if not ours:
        return {
            name: {"undefined": "no item has a label of both"}
            for name in ("percent_agreement", "cohen_kappa", "krippendorff_alpha")
        }
    rows = [Rating(item, who, labels[item]) for item in ours for who, labels in (("ours", ours), ("theirs", theirs))]
    scale = None if question.level is Level.SET else question.codes
    return _coefficients(Ratings.from_rows(rows, question.level, scale))


def _worst_items(
    own: Iterable[Annotation], people: Mapping[str, Counter[str]], texts: Mapping[str, str]
) -> list[WorstItem]:
    """Rank items by how much surer people are of their label than of the model's, then by its probability."""

    def badness(annotation: Annotation) -> tuple[float, float]:
        counts = people[annotation.item]
        gap = max(counts.values()) - counts[label_text(annotation.label)]
        return gap / counts.total(), annotation.probability or 0.0

    judged = [annotation for annotation in own if annotation.label is not None and annotation.item in people]
    worst = sorted((a for a in judged if badness(a)[0] > 0), key=badness, reverse=True)[:WORST_ITEMS]
    return [
        WorstItem(
            item=annotation.item,
            label=label_text(annotation.label),
            probability=annotation.probability,
            people=dict(people[annotation.item].most_common()),
            text=texts.get(annotation.item),
        )
        for annotation in worst
    ]
