"""What the scripts have in common: the task, the clock, and what llama.cpp was given to read.

Runs in every peer's environment, so it imports the standard library only.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

Frame = tuple[str, str, str]
"""What a chat template writes before the system's words, before the user's and before the reply."""


@dataclass(frozen=True)
class Question:
    """What is asked about a text: what follows the text, how the reply begins, and what it may be."""

    tail: str
    cue: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One measurement. A prompt is `system`, then `head`, text and tail as the user, then the cue as the reply."""

    model: str
    threads: int
    mode: Literal["choose", "generate"]
    system: str
    head: str
    questions: tuple[Question, ...]
    texts: tuple[str, ...]
    frame: Frame
    is_chat: bool
    """Whether the model has a chat template."""
    schema: str
    max_tokens: int
    context: int
    """Tokens of the longest prompt and its reply."""
    least: int
    """Texts a repeat, at least."""
    seconds: float
    """A repeat takes about so long: slow peers get fewer of the texts."""
    repeats: int
    """With none, all texts are answered once, and nothing is timed."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What only one peer knows."""

    @classmethod
    def load(cls, path: Path) -> "Task":
        """Read a task file."""
        content = json.loads(path.read_text(encoding="utf-8"))
        questions = tuple(Question(q["tail"], q["cue"], tuple(q["labels"])) for q in content.pop("questions"))
        texts, frame = tuple(content.pop("texts")), tuple(content.pop("frame"))
        return cls(**content, questions=questions, texts=texts, frame=frame)

    def before(self, text: str) -> str:
        """Give the prompt up to the end of the text, control tokens written out."""
        system, user, _ = self.frame
        return f"{system}{self.system}{user}{self.head}{text}"

    def after(self, question: Question) -> str:
        """Give the rest of the prompt."""
        return f"{question.tail}{self.frame[2]}{question.cue}"


@dataclass
class Tokens:
    """What has been read (in batches of several) and written (one at a time) so far."""

    read: int = 0
    written: int = 0


class Peer(NamedTuple):
    """An opened peer: how it answers texts, all questions about one before the next, and what it has read by now."""

    answer: Callable[[Sequence[str]], list[str | None]]
    tokens: Callable[[], Tokens]
    probabilities: Callable[[Sequence[str]], list[list[float]]] | None = None
    """Of every label of the only question, where the peer gives them; its answer is then the likeliest."""


def main(open_peer: Callable[[Task], Iterator[Peer]]) -> None:
    """Measure one peer, or have it answer all texts once: `python -m evals.peers.NAME TASK.json RESULT.json`."""
    task = Task.load(Path(sys.argv[1]))
    with contextmanager(open_peer)(task) as peer:
        result = answer_once(task, peer) if task.repeats == 0 else measure(task, peer)
    Path(sys.argv[2]).write_text(json.dumps(result | {"memory": peak_memory()}), encoding="utf-8")


def answer_once(task: Task, peer: Peer) -> dict[str, Any]:
    """Give a peer's answers to all texts, and where it gives them the probabilities of the only question's labels."""
    if peer.probabilities is None:
        return {"answers": peer.answer(task.texts), "probabilities": None}
    (question,) = task.questions
    probabilities = peer.probabilities(task.texts)
    answers = [question.labels[row.index(max(row))] for row in probabilities]
    return {"answers": answers, "probabilities": probabilities}


def measure(task: Task, peer: Peer) -> dict[str, Any]:
    """Warm a peer up, find how many texts fill a repeat, and time the repeats.

    Each repeat takes the next texts, since a server still has the last ones in its slots.
    """
    answers: dict[int, list[str | None]] = {}
    begin, width = 0, len(task.questions)

    def timed(count: int) -> float:
        nonlocal begin
        places = [(begin + place) % len(task.texts) for place in range(count)]
        began = time.perf_counter()
        given = peer.answer([task.texts[place] for place in places])
        took = time.perf_counter() - began
        answers.update((place, given[n * width : (n + 1) * width]) for n, place in enumerate(places))
        begin += count
        return took

    count = min(task.least, len(task.texts))
    timed(count)
    while (took := timed(count)) < task.seconds / 4 and count < len(task.texts):
        count = min(4 * count, len(task.texts))
    count = min(max(task.least, round(count * task.seconds / took)), len(task.texts))
    before = peer.tokens()
    seconds = [timed(count)]
    # Who is many times too slow even for the fewest texts is not made to repeat it five times.
    while len(seconds) < task.repeats and (len(seconds) < 2 or sum(seconds) < 8 * task.seconds):
        seconds.append(timed(count))
    after, asked = peer.tokens(), count * len(seconds)
    return {
        "texts": count,
        "seconds": seconds,
        "answers": [answer for place in sorted(answers) for answer in answers[place]],
        "read": (after.read - before.read) / asked,
        "written": (after.written - before.written) / asked,
    }


def open_llama(task: Task, **settings: Any) -> tuple[Any, Tokens]:  # noqa: ANN401 - llama-cpp-python's own
    """Open the task's model with llama-cpp-python, and count what it decodes."""
    import llama_cpp  # type: ignore[import-untyped, unused-ignore]  # has no types everywhere

    counted = count_decodes(llama_cpp, llama_cpp.llama_cpp)
    settings |= {"n_ctx": task.context, "n_threads": task.threads, "n_threads_batch": task.threads, "verbose": False}
    return llama_cpp.Llama(task.model, **settings), counted


def count_decodes(*modules: ModuleType) -> Tokens:
    """Let llama-cpp-python count the tokens it decodes, wherever its function has been imported to."""
    tokens, decode = Tokens(), modules[0].llama_decode

    def counted(context: Any, batch: Any) -> int:  # noqa: ANN401 - llama.cpp's own
        if batch.n_tokens == 1:
            tokens.written += 1
        else:
            tokens.read += batch.n_tokens
        return int(decode(context, batch))

    for module in modules:
        module.llama_decode = counted  # type: ignore[attr-defined]  # the function is found by name at each call
    return tokens


def peak_memory() -> int:
    """Give the largest resident size in bytes of this process, and of the largest one it started and waited for."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
