"""What a command that labels says at its end: how many answers, of which status, with which labels."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from llmclf.status import Status

if TYPE_CHECKING:
    from llmclf.annotations import Annotation
    from llmclf.codebook import Codebook


class Summary:
    """Counts annotations as they pass."""

    def __init__(self, codebook: "Codebook") -> None:
        self.codebook = codebook
        self.quotes = self.misquoted = 0
        self.statuses: Counter[Status] = Counter()
        self.labels: dict[str, Counter[str]] = {}

    @property
    def unlabelled(self) -> int:
        """Answers without a label, but for those that a policy held back."""
        return self.statuses.total() - self.statuses[Status.OK] - self.statuses[Status.ABSTAINED]

    def watch(self, annotations: Iterable["Annotation"]) -> Iterator["Annotation"]:
        """Count annotations, and hand them on."""
        for annotation in annotations:
            self.statuses[annotation.status] += 1
            self.quotes += len(annotation.evidence)
            self.misquoted += len(annotation.misquoted)
            counts = self.labels.setdefault(annotation.question, Counter())
            match annotation.label:
                case None:
                    pass
                case str(label):
                    counts[label] += 1
                case labels:
                    counts.update(labels or ["(none)"])
            yield annotation

    def to_dict(self) -> dict[str, Any]:
        """Give the counts, ready for JSON."""
        counted = {"statuses": {str(status): n for status, n in self.statuses.items()}, "labels": self.labels}
        if "evidence" in self.codebook.reasons:
            counted["evidence"] = {"quotes": self.quotes, "misquoted": self.misquoted}
        return counted

    def lines(self) -> Iterator[str]:
        """Say them to a person."""
        total = self.statuses.total()
        yield f"{total} answers: {', '.join(f'{n} {status}' for status, n in self.statuses.most_common())}"
        for question, counts in self.labels.items():
            shares = (f"{label} {count * len(self.labels) / total:.0%}" for label, count in counts.most_common())
            yield f"{question}: {', '.join(shares)}"
        if "evidence" in self.codebook.reasons:
            yield f"evidence: {self.misquoted} of {self.quotes} quotes are not in the {self.codebook.unit}"
