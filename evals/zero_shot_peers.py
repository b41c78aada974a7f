"""What the peers answer to the texts of a task, and the probabilities that they give, kept in a folder."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from evals.peers.ceiling import chat_frame
from evals.peers.measure import Frame, Question, Task
from evals.throughput_peers import PEERS, PeerProblem, interpreter, run_task
from evals.zero_shot_tasks import LabelTask
from llmclf.agreement.counts import Floats, Ints
from llmclf.backends.layouts import weights
from llmclf.backends.llama import LlamaModel, available_cpus
from llmclf.items import Item
from llmclf.prompts import Prompt

NAMES: Final = ("guidance", "outlines", "instructor", "ollama-classifier", "cappr")
_TOO_SLOW: Final = frozenset({("cappr", "banking77")})
"""It would take minutes a text: a pass of its own for each of 77 labels."""
_PART: Final = 50
"""Texts that a process answers before its answers are kept."""
_CONTEXT: Final = 2048
_LABEL_TOKENS: Final = 48
"""Room for a label, also where a peer wraps it in JSON with spaces as it likes."""


@dataclass(frozen=True, eq=False)
class PeerAnswers:
    """What a peer answered to the first of the held-out items, or in `problem` why nothing."""

    name: str
    problem: str = ""
    answers: Ints | None = None
    """Positions of labels; -1 where the answer is none of them."""
    probabilities: Floats | None = None
    """Shape (n, q); None where the peer gives none."""


@dataclass(frozen=True)
class Peers:
    """Asks peers, each in a process of its own, with the weights and their layout that llmclf reads."""

    model: Path
    environments: Path
    """The folder that they are installed in."""
    cache: Path
    """The folder that keeps their answers."""
    only_cached: bool = False
    """Ask nothing that is not there."""

    def ask(self, name: str, task: LabelTask, count: int) -> PeerAnswers:
        """Give a peer's answers to the first held-out items of a task, from the cache if they are there."""
        if (name, task.name) in _TOO_SLOW:
            return PeerAnswers(name, "left out, since it takes minutes a text")
        items = task.items[task.labelled :][:count]
        parts = [items[begin : begin + _PART] for begin in range(0, len(items), _PART)]
        found: list[dict[str, Any]] = []
        try:
            for part in parts:
                found.append(self._part(name, task, part))  # noqa: PERF401 - those before one that fails are kept
        except PeerProblem as problem:
            if not found or not self.only_cached:
                return PeerAnswers(name, str(problem))
        return _read(name, task, found)

    def _part(self, name: str, task: LabelTask, items: Sequence[Item]) -> dict[str, Any]:
        content = json.dumps([name, task.codebook.hash, [item.words for item in items], self.model.name])
        kept = self.cache / f"{hashlib.sha256(content.encode()).hexdigest()[:20]}.json"
        if not kept.is_file() and self.only_cached:
            raise PeerProblem("not in the cache")
        if not kept.is_file():
            package = PEERS[name]
            asked = peer_task(task, items, self.model, with_lists=name != "ollama-classifier")
            python = interpreter(package, self.environments)
            found = run_task(python, package.module, asked, self.environments, waiting="PASSIVE")
            self.cache.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found), encoding="utf-8")
        return dict(json.loads(kept.read_text(encoding="utf-8")))


def peer_task(task: LabelTask, items: Sequence[Item], model: Path, *, with_lists: bool = True) -> Task:
    """Write llmclf's own plain prompt out for peers; `with_lists` not for those that list the labels themselves."""
    question = task.question
    system, user, reply = Prompt(task.codebook).messages(question, items[0])
    head, found, tail = user.content.rpartition(items[0].words)
    assert found
    if not with_lists:
        head, tail = f"{question.ask}\n", ""
    path, frame = _chosen(model)
    return Task(
        model=str(path),
        threads=available_cpus(),
        mode="choose",
        system=system.content,
        head=head,
        questions=(Question(tail, reply.content, tuple(label.name for label in question.labels)),),
        texts=tuple(item.words for item in items),
        frame=frame or ("", "\n\n", "\n\nAnswer:"),
        is_chat=frame is not None,
        schema="",
        max_tokens=_LABEL_TOKENS,
        context=_CONTEXT,
        least=1,
        seconds=0.0,
        repeats=0,
    )


@cache
def _chosen(model: Path) -> tuple[Path, Frame | None]:
    """Give the file in the layout that llmclf chooses, and what its chat template writes."""
    chosen = weights(model, None)
    opened = LlamaModel(chosen.path, repacked=chosen.repacked)
    frame = chat_frame(opened)
    opened.close()
    return chosen.path, frame


def _read(name: str, task: LabelTask, parts: Sequence[dict[str, Any]]) -> PeerAnswers:
    names = [label.name for label in task.question.labels]
    answers = [names.index(one) if one in names else -1 for part in parts for one in part["answers"]]
    given = [row for part in parts for row in part["probabilities"] or ()]
    return PeerAnswers(name, answers=np.array(answers), probabilities=np.array(given) if given else None)
