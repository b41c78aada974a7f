"""The throughput that the machine and the prompts allow at best: raw prefill speed over the tokens to be read."""

import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.peers.measure import Frame, Task


@dataclass(frozen=True)
class Needs:
    """Tokens that must be read for one text, on average: its own, those after it, and those inside its labels."""

    text: float
    tail: float
    """What follows the text in all its prompts: the rest of the question, the template's end and the cue."""
    nodes: int
    """Tokens of labels that others follow, once where labels share them."""

    @property
    def tail_share(self) -> float:
        """The share of the tail in text and tail."""
        return self.tail / (self.text + self.tail)


def needs(task: Task, tokenize: Callable[[str], Sequence[Hashable]]) -> Needs:
    """Count the tokens that a task's texts need."""
    return Needs(
        statistics.fmean(len(tokenize(text)) for text in task.texts),
        sum(len(tokenize(task.after(question))) for question in task.questions),
        sum(inner_nodes([tokenize(f" {label}") for label in question.labels]) for question in task.questions),
    )


def inner_nodes(sequences: Sequence[Sequence[Hashable]]) -> int:
    """Count the nodes of a tree of token sequences that have others below them; its root is none.

    >>> inner_nodes([[1, 2, 3], [1, 2, 4], [5, 6], [7]])  # 1, 1 2 and 5
    3
    """
    return len({tuple(one[:end]) for one in sequences for end in range(1, len(one))})


@dataclass(frozen=True)
class Ceiling:
    """What one model in one layout does on this machine, and what the works need of it."""

    path: str
    layout: str
    frame: Frame | None
    """None if the model has no chat template."""
    tokens_per_second: float
    """The logits of each prompt's last token only."""
    tokens_per_second_with_logits: float
    """The logits of every token."""
    matrix_parameters: int
    """Weights that each token is multiplied with."""
    matmul_gflops: float
    needs: Mapping[str, Needs]
    """By work."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Ceiling":
        """Read what `evals.peers.ceiling` wrote."""
        frame = tuple(content["frame"]) if content["frame"] else None
        return cls(**{**content, "frame": frame, "needs": {n: Needs(**one) for n, one in content["needs"].items()}})

    def rate(self, work: str) -> float:
        """Give the texts/s that the prefill speed allows; inside labels it looks only where there are many."""
        need = self.needs[work]
        return self.tokens_per_second / (need.text + need.tail + (need.nodes if work == MANY_LABELS else 0))

    def rate_with_logits(self, work: str) -> float:
        """Give the texts/s that are left when every token inside a label costs its logits, too."""
        of_nodes = self.needs[work].nodes * (1 / self.tokens_per_second_with_logits - 1 / self.tokens_per_second)
        return 1 / (1 / self.rate(work) + of_nodes)

    @property
    def prefill_gflops(self) -> float:
        """What the matrices' products in reading prompts amount to."""
        return 2 * self.matrix_parameters * self.tokens_per_second / 1e9


MANY_LABELS = "banking77"
