"""llmclf's local engine beside its peers, in one run on one quiet machine: texts/s, tokens, accuracy and memory.

python -m evals.throughput            # all works with both models: about 40 minutes, and no other load
python -m evals.throughput --quick    # some minutes, rough

Each peer is installed from PyPI into an environment of its own, and each measurement is a process of its own.
All get the same texts and labels, the static part of the prompt first, their own caching and all cores.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from evals import throughput_memory
from evals.throughput_ceiling import Ceiling
from evals.throughput_peers import OWN, PEERS, WAITING, PeerProblem, gemma, run_module, say
from evals.throughput_report import Found, ceiling_line, memory_table, problem_lines, roofline, targets, work_table
from evals.throughput_rows import CHOSEN, SHIPPED, Bench
from evals.throughput_works import WORKS, Work, load
from llmclf.backends.llama import available_cpus
from llmclf.backends.registry import embedded_model
from llmclf.cli.common import console
from llmclf.errors import LlmclfError

_MEMORY: Final = "memory"
MODELS: Final = ("smollm2", "gemma")
_NOTE = """\
shipped: units a second with the file as shipped. same: in the layout that llmclf chose. x: llmclf in that layout over
the peer. read, wrote: tokens a unit that the model read and wrote. right: the share of people's labels. bad: invalid
answers. MB: the largest resident size, with a server's. waits: how threads wait for each other, for a peer whichever
is faster."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and say which targets are met."""
    options = _options(arguments)
    try:
        works = load(name for name in WORKS if name in options.only)
        headlines = load(["clickbait"])[0]
        models = [_model(name, options.cache) for name in options.models]
        found = [_measure(path, works, headlines, options) for path in models]
    except (LlmclfError, PeerProblem) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m evals.throughput", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, known in (("only", (*WORKS, _MEMORY)), ("peers", tuple(PEERS)), ("models", MODELS)):
        parser.add_argument(f"--{name}", type=names_of(known), default=known, help=f"of {','.join(known)}")
    parser.add_argument("--quick", action="store_true", help="fewer texts, one repeat")
    parser.add_argument("--cache", type=Path, default=Path(".cache/peers"), help="where the peers are installed")
    parser.add_argument("--json", type=Path, help="a file to write all figures to")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    options.cache = options.cache.resolve()
    return options


def names_of(known: Sequence[str]) -> "argparse._ActionType":
    """Read names of known things, with commas between them."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(known)}")
        return names

    return read


def _model(name: str, cache: Path) -> Path:
    return embedded_model() if name == "smollm2" else gemma(cache)


def _measure(path: Path, works: Sequence[Work], headlines: Work, options: argparse.Namespace) -> Found:
    """Measure all works with one model, and print each when it is done."""
    bench = Bench(
        options.cache,
        threads=available_cpus(),
        seconds=0.5 if options.quick else 2.5,
        repeats=1 if options.quick else 5,
    )
    packages = [PEERS[peer] for peer in options.peers]
    ceilings = _ceilings(path, works, bench)
    found = Found(path.stem, ceilings, [], [])
    terminal = console()
    for line in roofline(found):
        terminal.print(line, markup=False, highlight=False)
    for work in works:
        rows = [*found.rows, *bench.rows(work, packages, ceilings, path)]
        found = Found(found.model, ceilings, rows, found.memory)
        terminal.print(work_table(found, work))
        for line in (*problem_lines(found, work), ceiling_line(found, work)):
            terminal.print(line, markup=False, highlight=False)
    if _MEMORY in options.only:
        counts = (200, 1000) if options.quick else (1000, 4000)
        memory = list(throughput_memory.measure(path, Path(ceilings[CHOSEN].path), headlines, counts))
        found = Found(found.model, ceilings, found.rows, memory)
        terminal.print(memory_table(found))
    terminal.print(_NOTE.replace("\n", " "), markup=False, highlight=False)
    for target in targets(found):
        terminal.print(str(target), markup=False, highlight=False)
    return found


def _ceilings(path: Path, works: Sequence[Work], bench: Bench) -> Mapping[str, Ceiling]:
    """Measure what the model does at best, in both layouts, with threads that wait in the better way."""
    names = [work.name for work in works]
    best = {}
    for layout, setting in ((SHIPPED, "shipped"), (CHOSEN, None)):
        say(f"the ceiling, {layout}")
        asked = {"model": str(path), "layout": setting, "threads": bench.threads, "works": names}
        both = [run_module(OWN, "evals.peers.ceiling", asked, bench.cache, waiting=waiting) for waiting in WAITING]
        best[layout] = max(map(Ceiling.from_dict, both), key=lambda one: one.tokens_per_second)
    return best


if __name__ == "__main__":
    sys.exit(main())
