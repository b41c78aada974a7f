"""The section on labels: which of them a model and people confuse."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from llmclf.agreement import Undefined
from llmclf.agreement.classification import ClassAgreement
from llmclf.audit.page import Block, Cell, Column, Paragraph, Section, Table
from llmclf.audit.report import Audit, Comparison, ModelAudit
from llmclf.audit.views import answers, columns, name_in


def classes(audit: Audit) -> Section:
    """Which labels are confused."""
    blocks: list[Block] = []
    rows: list[tuple[Cell, ...]] = []
    for answer in answers(audit):
        question, model = answer
        people = _who_counts(model)
        confusions = [np.array(one.confusion) for one in people if one.confusion]
        if confusions:
            counts = sum(confusions[1:], confusions[0]).tolist()
            heads = (Column("Theirs"), *(Column(label, 0) for label in question.scale))
            cells = tuple((label, *row) for label, row in zip(question.scale, counts, strict=True))
            blocks.append(Table(f"{name_in(audit, answer)}: {people[0].kind}s by row, model by column", heads, cells))
        rows += _pooled(question.question, model.annotator, people)
        blocks += [
            Paragraph(f"{question.question}, {model.annotator} and {one.annotator}, unweighted: {one.divergence}")
            for one in people
            if one.divergence
        ]
    heads = columns("Question", "Model", "Label", "Theirs:0", "Model's:0", "Both:0", "Precision:2", "Recall:2", "F1:2")
    blocks.append(Table("Each label, over all people of the kind that counts", heads, tuple(rows)))
    blocks.append(_homogeneity(audit))
    return Section("classes", "Per class and confusion", "Which labels the model and people confuse.", tuple(blocks))


def _who_counts(model: ModelAudit) -> list[Comparison]:
    """Give the comparisons with experts or, where there are none, with the crowd."""
    return [one for one in model.against if one.kind == "expert"] or model.against


def _pooled(question: str, model: str, people: Sequence[Comparison]) -> Iterator[tuple[Cell, ...]]:
    by_label: dict[str, list[ClassAgreement]] = defaultdict(list)
    for person in people:
        for one in person.labels:
            by_label[one.label].append(one)
    for label, found in by_label.items():
        theirs, own, both = (
            sum(one.n_reference for one in found),
            sum(one.n_judged for one in found),
            sum(one.n_both for one in found),
        )
        scores = (_share(both, own), _share(both, theirs), _share(2 * both, own + theirs))
        yield question, model, label, theirs, own, both, *scores


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _homogeneity(audit: Audit) -> Table:
    rows = []
    for question, model in answers(audit):
        for one in _who_counts(model):
            test = one.marginal_homogeneity
            cells = (
                (None, None, None, f"undefined: {test.undefined}")
                if isinstance(test, Undefined)
                else (test.statistic, test.df, test.p, test.method)
            )
            rows.append((question.question, model.annotator, one.annotator, *cells))
    heads = columns("Question", "Model", "Person", "Statistic:2", "df:0", "p:3", "Test")
    return Table("Whether both give each label equally often", heads, tuple(rows))
