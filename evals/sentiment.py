"""The main path: Amazon review snippets, labelled by the embedded model and compared with a crowd.

C.J. Hutto, Eric Gilbert. 2014. VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text.
Snippets and ratings: additional_resources/hutto_ICWSM_2014.tar.gz in the source distribution of vaderSentiment 3.3.2.
Each snippet has 20 ratings from -4 to 4; a rating's sign is its label.

    make demo                                            # fetches the data, asks, compares
    python -m evals.sentiment --sdist FILE --out FOLDER   # the same on a source distribution already here
"""

import argparse
import ast
import random
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from llmclf.annotations import Annotation, Kind, write_annotations
from llmclf.cli.annotate import run_annotation
from llmclf.cli.audit import audit
from llmclf.errors import InputError, LlmclfError
from llmclf.table_writing import write_rows

CODEBOOK = Path(__file__).parents[1] / "prompts" / "sentiment"
N_SNIPPETS = 200
_INNER = "hutto_ICWSM_2014.tar.gz"
_TEXTS = "amazonReviewSnippets_GroundTruth.txt"
_RATINGS = "amazonReviewSnippets_anonDataRatings.txt"


def read_sdist(path: Path) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Give the snippets' texts and their ratings, by snippet id."""
    try:
        with tarfile.open(path) as outer:
            inner = next(member for member in outer if member.name.endswith(_INNER))
            with tarfile.open(fileobj=outer.extractfile(inner)) as archive:
                texts, ratings = _lines(archive, _TEXTS), _lines(archive, _RATINGS)
    except (OSError, tarfile.TarError, StopIteration) as error:
        raise InputError(
            f"{path} is not the source distribution of vaderSentiment: {error}", "Run: make demo"
        ) from None
    return {id_: text for id_, _, text in texts}, {id_: ast.literal_eval(each) for id_, _, _, each in ratings}


def _lines(archive: tarfile.TarFile, name: str) -> list[list[str]]:
    file = archive.extractfile(f"hutto_ICWSM_2014/{name}")
    assert file is not None
    return [line.split("\t") for line in file.read().decode("utf-8-sig").splitlines()]


def sign_label(rating: int) -> str:
    """Give the label that a rating from -4 to 4 stands for."""
    return "negative" if rating < 0 else "positive" if rating > 0 else "neutral"


def write_inputs(sdist: Path, reviews: Path, crowd: Path) -> None:
    """Write the sampled snippets, and the crowd's ratings of them, as the tables that the commands read."""
    texts, ratings = read_sdist(sdist)
    sample = random.Random(0).sample(sorted(texts), N_SNIPPETS)  # noqa: S311 - a sample, not a secret
    with write_rows(reviews, ("id", "text")) as write:
        for snippet in sample:
            write({"id": snippet, "text": texts[snippet]})
    write_annotations(
        crowd,
        (
            Annotation(snippet, "sentiment", f"rater {place}", Kind.CROWD, sign_label(rating))
            for snippet in sample
            for place, rating in enumerate(ratings[snippet], start=1)
        ),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Label the snippets and compare the labels with the crowd's."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.sentiment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sdist", type=Path, required=True, help="vaderSentiment-3.3.2.tar.gz")
    parser.add_argument("--out", type=Path, default=Path("out/sentiment"), help="the folder to write to")
    parser.add_argument("--backend", default="local")
    options = parser.parse_args(arguments)
    reviews, crowd, labels = (options.out / name for name in ("reviews.csv", "crowd.csv", "labels.csv"))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        write_inputs(options.sdist, reviews, crowd)
        run_annotation(reviews, CODEBOOK, labels, backend=options.backend)
        audit(CODEBOOK, [labels, crowd], items=reviews)
    except LlmclfError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
