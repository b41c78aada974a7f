"""What `llmclf distil` says at its end."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from llmclf.audit.numbers import shown_interval
from llmclf.status import Status

if TYPE_CHECKING:
    from llmclf.agreement import Coefficient
    from llmclf.annotations import Annotation
    from llmclf.items import Item
    from llmclf.students.distillation import Student

_COEFFICIENTS = {"percent_agreement": "accuracy", "macro_f1": "macro-F1", "cohen_kappa": "Cohen's kappa"}
_SET_COEFFICIENTS = {"percent_agreement": "the same set", "krippendorff_alpha_masi": "alpha (MASI)"}


@dataclass
class Summary:
    """Counts labels as they pass."""

    student: "Student"
    below: float | None
    seconds: float = 0.0
    """From the table read to the labels written."""
    processor_seconds: float = 0.0
    """Of these, what this process took."""
    unsure: int = 0
    """Of the items whose label the teacher did not give."""
    not_taught: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)

    def take(self, annotation: "Annotation", item: "Item") -> bool:
        """Count an answer, and say whether the teacher is to be asked."""
        self.statuses[annotation.status] += 1
        if annotation.label is None or annotation.probability is None:
            return False
        self.labels.update([annotation.label] if isinstance(annotation.label, str) else annotation.label)
        if self.below is None or self.student.knows(item.words):
            return False
        self.not_taught += 1
        is_unsure = annotation.probability < self.below
        self.unsure += is_unsure
        return is_unsure

    @property
    def unlabelled(self) -> int:
        """Items that nothing can be asked about."""
        return self.statuses.total() - self.statuses[Status.OK]

    @cached_property
    def agreement(self) -> "dict[str, Coefficient]":
        """Of the cross-fitted labels with the teacher's."""
        return self._agreement(0.0)

    @cached_property
    def agreement_of_sure(self) -> "dict[str, Coefficient]":
        """The same where the student is sure."""
        return self._agreement(self.below or 0.0)

    def _agreement(self, least_confidence: float) -> "dict[str, Coefficient]":
        from llmclf.agreement import coefficients

        names = list(_SET_COEFFICIENTS if self.student.is_set else _COEFFICIENTS)
        return coefficients(self.student.beside_teacher(least_confidence), names)

    @property
    def rows_per_second(self) -> float:
        """As long as it took, whatever else the machine did."""
        return self.statuses.total() / max(self.seconds, 1e-9)

    def shares(self) -> Iterator[tuple[str, float, float]]:
        """Give each label with its share of the student's labels and of the teacher's."""
        labelled = max(self.statuses[Status.OK], 1)
        of_teacher = self.student.taught.given.mean(axis=0).tolist()
        for code, share in zip(self.student.codes, of_teacher, strict=True):
            yield code, self.labels[code] / labelled, share

    def to_dict(self) -> dict[str, Any]:
        """Give all by name, ready for JSON."""
        routed = None
        if self.below is not None:
            agreement = {name: one.to_dict() for name, one in self.agreement_of_sure.items()}
            routed = {"below": self.below, "rows": self.unsure, "of": self.not_taught, "agreement_of_sure": agreement}
        return {
            "question": self.student.question,
            "teacher": self.student.teacher,
            "annotator": self.student.annotator,
            "taught": len(self.student.taught.keys),
            "strength": self.student.strength,
            "too_rare": dict(self.student.too_rare),
            "agreement": {name: one.to_dict() for name, one in self.agreement.items()},
            "statuses": {str(status): n for status, n in self.statuses.items()},
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "rows_per_second": self.rows_per_second,
            "shares": {code: {"student": student, "teacher": teacher} for code, student, teacher in self.shares()},
            "routed": routed,
        }

    def lines(self) -> Iterator[str]:
        """Give what a person reads, within 80 columns."""
        for said in self._said():
            yield from wrap(said, 80, subsequent_indent="  ", break_on_hyphens=False)

    def _said(self) -> Iterator[str]:
        student, total = self.student, self.statuses.total()
        asked = f" to {student.question!r}" if student.question else ""
        yield f"{student.annotator} learned from {len(student.taught.keys):,} texts what it says{asked}"
        if student.too_rare:
            rare = ", ".join(f"{label} ({n})" for label, n in student.too_rare.items())
            yield f"never given, for too few texts have it: {rare}"
        yield "agreement on these texts, each held out:"
        for name, words in (_SET_COEFFICIENTS if student.is_set else _COEFFICIENTS).items():
            yield f"  {words} {_value(self.agreement[name])}"
        counted = ", ".join(f"{n:,} {status}" for status, n in self.statuses.most_common())
        yield f"{total:,} rows in {self.seconds:.1f} s, {self.rows_per_second:,.0f} rows/s: {counted}"
        shares = (f"{code} {share:.0%} ({of_teacher:.0%})" for code, share, of_teacher in self.shares())
        yield f"labels, and the teacher's: {', '.join(shares)}"
        if self.below is not None:
            share = self.unsure / max(self.not_taught, 1)
            yield f"unsure, below {self.below:.3g}: {self.unsure:,} of {self.not_taught:,} ({share:.1%})"
            yield f"  agreement where it is sure {_value(self.agreement_of_sure['percent_agreement'])}"


def _value(coefficient: "Coefficient") -> str:
    from llmclf.agreement import Undefined

    if isinstance(coefficient, Undefined):
        return f"undefined: {coefficient.undefined}"
    return shown_interval(coefficient.value, coefficient.low, coefficient.high)


def report(summary: Summary, out: Path, written: Mapping[str, Path | None], *, as_json: bool) -> None:
    """Print a summary and what was written, to standard error where the table went to standard output."""
    from llmclf.tables import STDIO, json_text

    is_piped = str(out) == STDIO
    file = sys.stderr if is_piped else sys.stdout
    if as_json:
        paths = {name: path and str(path) for name, path in written.items()}
        print(json_text(summary.to_dict() | {"out": str(out)} | paths), file=file)
        return
    for line in summary.lines():
        print(line, file=file)
    names = [*([] if is_piped else [out]), *filter(None, written.values())]
    print(f"wrote {', '.join(map(str, names))}", file=file)
