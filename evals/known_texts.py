"""Write the hashes by which an audit knows the texts of public data sets.

python -m evals.known_texts
"""

import csv
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals import empathy_data
from evals.datasets import find
from llmclf.audit.public_data import KNOWN_TEXTS, written
from llmclf.errors import LlmclfError


def main() -> int:
    """Write the file; give the exit code."""
    try:
        KNOWN_TEXTS.write_text(written(_texts_by_name()), encoding="utf-8")
    except LlmclfError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{KNOWN_TEXTS.name}: {KNOWN_TEXTS.stat().st_size:,} bytes")
    return 0


def _texts_by_name() -> dict[str, Iterator[str]]:
    spoken = empathy_data.conversations()
    return {
        "Banking77": _columns(find("banking77"), "*.csv", "text"),
        "Clickbait (Chakraborty et al. 2016)": _lines(find("clickbait")),
        "ConvAbuse": _columns(find("convabuse"), "*.csv", "prev_user", "user"),
        "Hate speech and offensive language (Davidson et al. 2017)": _columns(find("davidson"), "*.csv", "tweet"),
        "VADER (Hutto & Gilbert 2014)": _vader(find("vader")),
        "MultiPICo": _strings(find("multipico"), "MP_*t*.json"),
        "CEBaB, WAX, MT-Bench": _strings(find("alttest"), "*/prompts.json"),
        "EPITOME": _turns(spoken["epitome"]),
        "EmpatheticDialogues": _turns(spoken["empatheticdialogues"]),
        "Lend an Ear": _turns(spoken["lend_an_ear"]),
    }


def _columns(folder: Path, files: str, *columns: str) -> Iterator[str]:
    for path in sorted(folder.glob(files)):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield from (row[column] for column in columns if row.get(column))


def _lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from file


def _vader(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*_GroundTruth.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            yield line.rpartition("\t")[2]


def _strings(folder: Path, files: str) -> Iterator[str]:
    for path in sorted(folder.glob(files)):
        yield from _all_strings(json.loads(path.read_text(encoding="utf-8")))


def _all_strings(content: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from _all_strings(part)


def _turns(conversations: list[empathy_data.Conversation]) -> Iterator[str]:
    return (text for _, turns in conversations for _, text in turns)


if __name__ == "__main__":
    raise SystemExit(main())
