"""Zero-shot labels and probabilities of llmclf beside its peers: tasks with people's labels, two small local models.

    python -m evals.zero_shot            # all tasks, models and peers: hours on two cores
    python -m evals.zero_shot --quick    # a rough one

What the default is on a task was chosen on all other tasks of 500 texts or more (leave one task out), among policies
that need no labels and assume no label shares. Content-free texts: Zhao et al. 2021, Calibrate Before Use. Texts of
random words: Fei et al. 2023, Mitigating Label Biases for In-context Learning. Shown beside, since it assumes equal
shares: Zhou et al. 2024, Batch Calibration. Calibration error and temperature: Guo et al. 2017, On Calibration of
Modern Neural Networks.

Peers get the same weights and the words of llmclf's plain prompt; each runs in an environment of its own. All that
models say is kept in --cache, and not asked again. The student is shown by `python -m evals.distil`.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Final

from evals.throughput import names_of
from evals.throughput_peers import PeerProblem, gemma, say
from evals.zero_shot_cascade import cascade
from evals.zero_shot_peers import NAMES, PeerAnswers, Peers
from evals.zero_shot_policies import ASKED, BATCH, CANDIDATES, Quality, choose, mean_quality, quality
from evals.zero_shot_report import (
    abstention_table,
    cascade_table,
    differences_table,
    labelled_table,
    own_shares,
    policy_table,
    resampled,
    targets,
)
from evals.zero_shot_rows import Found
from evals.zero_shot_scores import Recorded, cached, record
from evals.zero_shot_tasks import GATED, HELD_OUT, LABELLED, TASKS, load
from llmclf.backends.local import LocalBackend
from llmclf.backends.registry import embedded_model
from llmclf.errors import LlmclfError

MODELS: Final = {"smollm2": "SmolLM2-135M", "gemma": "Gemma-3-270M"}
_TEXTS: Final = 500
"""Of a task."""
_MORE: Final = frozenset({"amazon", "movies", "clickbait"})
"""Tasks on which the small model has `LABELLED + HELD_OUT` texts."""
_ANSWERED: Final = {"smollm2": 100, "gemma": 50}
"""Of the held-out texts, by each peer."""
_QUICK: Final = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, compare, print, and say which targets are met."""
    options = _options(arguments)
    try:
        found = compare(options)
    except (LlmclfError, PeerProblem) as error:
        print(error, file=sys.stderr)
        return 2
    for line in report(found):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    return 0


def compare(options: argparse.Namespace) -> Found:
    """Ask the models and the peers what is not in the cache, and measure all."""
    answered = {name: list(_answers(name, options)) for name in options.models}
    qualities: dict[str, list[dict[str, Quality]]] = {}
    least = 0 if options.quick else GATED
    for recorded, _ in chain.from_iterable(answered.values()):
        if len(recorded.task.items) >= least:
            rated = {policy.name: quality(recorded, policy) for policy in (*CANDIDATES, BATCH)}
            qualities.setdefault(recorded.task.name, []).append(rated)
    found = Found(policies={policy.name: mean_quality(qualities, policy) for policy in (*CANDIDATES, BATCH)})
    for name in options.tasks:
        default = choose(qualities, name)
        found.chosen[name] = default.name
        both = []
        for model, (recorded, peers) in ((m, one) for m, of_model in answered.items() for one in of_model):
            if recorded.task.name == name:
                found.add(MODELS[model], recorded, default, peers)
                both.append((MODELS[model], recorded))
        if len(both) == len(MODELS):
            found.cascades.append(cascade(both[0], both[1], default))
    return found


def report(found: Found) -> Iterator[str]:
    """Give all tables."""
    cells = list(dict.fromkeys((row.model, row.task) for row in found.rows))
    for cell in cells:
        yield from own_shares(found, *cell)
    for model in dict.fromkeys(model for model, _ in cells):
        yield from differences_table(found, model)
    for cell in cells:
        yield from resampled(found, *cell)
    yield from policy_table(found)
    yield from labelled_table(found)
    yield from abstention_table(found)
    yield from cascade_table(found)
    yield ""
    yield from targets(found)


def _answers(name: str, options: argparse.Namespace) -> Iterator[tuple[Recorded, list[PeerAnswers]]]:
    """Give what a model's records of each task are, and what each peer answers with the same model."""
    path = embedded_model() if name == "smollm2" else gemma(options.environments)
    asked = Peers(path, options.environments, options.cache / "peers", only_cached=options.cached)
    many = _MORE if name == "smollm2" and not options.quick else frozenset()
    few = _QUICK if options.quick else _TEXTS
    folder = options.cache / name
    with ExitStack() as stack:
        backend = None if options.cached else stack.enter_context(closing(LocalBackend(path)))
        for one in options.tasks:
            say(f"{name}: {one}")
            task = load(one, LABELLED + HELD_OUT if one in many else few)
            recorded = record(task, backend, folder, ASKED) if backend else cached(task, folder)
            if recorded:
                yield recorded, [asked.ask(peer, recorded.task, _ANSWERED[name]) for peer in options.peers]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m evals.zero_shot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option, known in (("tasks", tuple(TASKS)), ("peers", NAMES), ("models", tuple(MODELS))):
        parser.add_argument(f"--{option}", type=names_of(known), default=known, help=f"of {','.join(known)}")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} texts a task")
    cache = Path(".cache")
    parser.add_argument("--cache", type=Path, default=cache / "zero_shot", help="where all answers are kept")
    parser.add_argument("--environments", type=Path, default=cache / "peers", help="where the peers are installed")
    parser.add_argument("--json", type=Path, help="a file to write all figures to")
    parser.add_argument("--cached", action="store_true", help="show what is in the cache, and ask nothing")
    options = parser.parse_args(arguments)
    if len(options.tasks) < 2:
        parser.error("give two tasks or more: the default of each is chosen on the others")
    for folder in (options.cache, options.environments):
        folder.mkdir(parents=True, exist_ok=True)
    options.environments = options.environments.resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
