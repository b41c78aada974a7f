"""How far packing many texts into a batch moves the scores from reading each text alone, in every weight layout.

python -m evals.exactness            # some minutes
python -m evals.exactness --texts 20

Alone, a text is read from an empty cache and each part of a label in a batch of its own. Only in F16 is exactness
claimed: tests hold it to 0.03 nats.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from evals.peers.llmclf import messages
from evals.throughput_works import Work, load
from llmclf.backends.base import Likelihoods, Request, Scores
from llmclf.backends.layouts import LAYOUTS, REFERENCE, weights
from llmclf.backends.local import LocalBackend
from llmclf.backends.registry import embedded_model
from llmclf.cli.common import console
from llmclf.errors import BackendError, LlmclfError

_LABELLED_BY_MANY = "banking77"
_FEWER = 10
"""Times fewer texts where there are many labels."""


@dataclass(frozen=True)
class Compared:
    """One layout on one work: packed against alone, and alone against alone in F16, in nats."""

    work: str
    layout: str
    texts: int
    most: float
    mean: float
    flips: int
    from_reference: float
    """Mean difference of the layout, read alone, from F16."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.exactness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=200, help="headlines; a tenth of it of questions to a bank")
    options = parser.parse_args(arguments)
    try:
        path = embedded_model()
        found = [one for work in load(["clickbait", _LABELLED_BY_MANY]) for one in compare(path, work, options.texts)]
    except LlmclfError as error:
        print(error, file=sys.stderr)
        return 2
    console().print(table(path.stem, found))
    return 0


def compare(path: Path, work: Work, count: int) -> Iterator[Compared]:
    """Read a work's first texts in all layouts that work here, together and each alone."""
    texts = work.texts[: max(1, count // _FEWER if work.name == _LABELLED_BY_MANY else count)]
    reference = _scores(path, REFERENCE, work, texts, alone=True)
    for layout in LAYOUTS:
        try:
            alone = _scores(path, layout, work, texts, alone=True)
            packed = _scores(path, layout, work, texts, alone=False)
        except BackendError as error:
            print(f"{layout} is left out: {error.message}", file=sys.stderr)
            continue
        difference = np.abs(packed - alone)
        yield Compared(
            work.name,
            layout,
            len(texts),
            float(difference.max()),
            float(difference.mean()),
            int((packed.argmax(axis=1) != alone.argmax(axis=1)).sum()),
            float(np.abs(alone - reference).mean()),
        )


def _scores(path: Path, layout: str, work: Work, texts: Sequence[str], *, alone: bool) -> NDArray[np.float64]:
    """Give the log-likelihoods of all labels, a row a text."""
    (question,) = work.questions
    task = work.task(str(path), None)
    form = Likelihoods(question.labels)
    backend = LocalBackend(weights(path, layout), reproducible=alone)
    replies = backend.answer(Request(n, messages(task, text, question), form) for n, text in enumerate(texts))
    rows = {r.request_id: list(r.log_likelihoods.values()) for r in replies if isinstance(r, Scores)}
    backend.close()
    return np.array([rows[number] for number in range(len(texts))])


def table(model: str, found: Sequence[Compared]) -> Table:
    """Give the table that a person reads."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title_justify="left")
    made.title = f"Packed against alone, nats of a label's log-likelihood ({model})"
    for heading in ("", "layout"):
        made.add_column(heading, no_wrap=True)
    for heading in ("texts", "most", "mean", "flips", "from F16, mean"):
        made.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        figures = (f"{one.most:.3f}", f"{one.mean:.3f}", str(one.flips), f"{one.from_reference:.3f}")
        made.add_row(one.work, one.layout, str(one.texts), *figures)
    return made


if __name__ == "__main__":
    sys.exit(main())
