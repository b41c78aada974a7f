"""What a bulk job holds to when it is killed, refused and failed, and how fast it is, seen from outside.

python -m evals.bulk            # all works: about an hour, 10 GB of disk, and no other load
python -m evals.bulk --quick    # some minutes, rough
python -m evals.bulk --works kills,faults --json found.json

Jobs are processes of `python -m llmclf annotate`, and the servers that they ask are processes, too; the rows of work
`rows` are answered by a function. Linux or macOS; a case that a machine does not allow is left open.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from evals.bulk_broken import broken
from evals.bulk_faults import faults
from evals.bulk_kills import kills
from evals.bulk_rates import hosted, limited
from evals.bulk_report import Finding, say, table
from evals.bulk_rows import rows
from llmclf.cli.common import console

Work = Callable[[Path], Finding]

WORKS: Final[Mapping[str, Work]] = {
    "kills": lambda path: kills(path, 200, 20_000),
    "rows": lambda path: rows(path, 10_000_000),
    "hosted": lambda path: hosted(path, 6_400, repeats=3),
    "limited": lambda path: limited(path, 6_000),
    "faults": lambda path: faults(path, 10_000),
    "broken": lambda path: broken(path, 1_000),
}
QUICK: Final[Mapping[str, Work]] = {
    "kills": lambda path: kills(path, 5, 500),
    "rows": lambda path: rows(path, 20_000),
    "hosted": lambda path: hosted(path, 1_300, repeats=1),
    "limited": lambda path: limited(path, 1_000),
    "faults": lambda path: faults(path, 500, timeout=1, stall=3),
    "broken": lambda path: broken(path, 1_000),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the works, and print what they found; 1 if a target is not met."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.bulk", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--works", type=_names, default=tuple(WORKS), help=f"of {','.join(WORKS)}")
    parser.add_argument("--quick", action="store_true", help="smaller, and rough")
    parser.add_argument("--folder", type=Path, help="where there is room for its files; they are removed at the end")
    parser.add_argument("--json", type=Path, help="a file to write all figures to")
    options = parser.parse_args(arguments)
    findings = []
    for name in options.works:
        say(name)
        with TemporaryDirectory(dir=options.folder) as scratch:
            findings.append((QUICK if options.quick else WORKS)[name](Path(scratch)))
    console().print(table(findings))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in findings], indent=1), encoding="utf-8")
    return 0 if all(one.is_met for one in findings) else 1


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in WORKS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(WORKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
