"""Work `faults`: a server that fails in seven ways, each with one text in a hundred."""

from pathlib import Path
from typing import Final

from evals.bulk_annotate import Folder, labelled, wrong_rows
from evals.bulk_report import Check, Finding
from evals.bulk_servers import FAULTS, Behaviour, serving
from llmclf.cli.common import SOME_UNLABELLED

_UNLABELLED: Final = {"refusal": ("", "refused"), "cut": ("", "cut")}


def faults(path: Path, rows: int, *, timeout: float = 10.0, stall: float = 30.0) -> Finding:
    """Annotate with a server that fails, and compare each row with what the server did to it."""
    folder, behaviour = Folder(path, rows), Behaviour(latency=0.02, faulty=True, stall=stall)

    def expected(number: int) -> tuple[str, str]:
        return _UNLABELLED.get(behaviour.fault(number) or "", labelled(number))

    with serving(behaviour) as server:
        ended = folder.run(folder.command(server.uri, {"concurrency": 64, "timeout": timeout}))
        counts = server.counts()
    wrong = wrong_rows(folder.out, rows, expected)
    final = sum(behaviour.fault(number) in _UNLABELLED for number in range(rows))
    mended = sum(behaviour.fault(number) is not None for number in range(rows)) - final
    again = counts.requests - rows
    return Finding(
        "faults",
        (
            Check(
                f"{rows:,} rows, 1 % each of {len(FAULTS)} faults: all labelled, or with the right status",
                f"{wrong:,} missing or wrong",
                wrong == 0,
            ),
            Check("exit code 3: some rows have no label", f"exit code {ended.code}", ended.code == SOME_UNLABELLED),
            Check("asked again: only those that another attempt can mend", f"{again:,} of {mended:,}", again == mended),
            Check(
                f"nothing stops: no pause as long as the timeout, {timeout:g} s",
                f"{counts.longest_gap:.1f} s at most",
                counts.longest_gap < timeout,
            ),
        ),
        {"rows": rows, "requests": counts.requests, "longest_gap": counts.longest_gap},
    )
