"""callo: one forward pass a question, the options' letters read from the next token's probabilities."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from callo.engine import local_engine  # type: ignore[import-not-found]  # lives in an environment of its own

from evals.peers.measure import Peer, Task, main
from evals.peers.server import SLOTS, head_of, in_slots, served_tokens, serving


def open_peer(task: Task) -> Iterator[Peer]:
    """Open callo's engine on llama.cpp's server. What is asked stands in its context, the cached system turn."""
    with serving(task) as address, ThreadPoolExecutor(SLOTS) as pool:
        engine = local_engine(address, gguf=task.model)
        slots: SimpleQueue[int] = SimpleQueue()
        for slot in range(SLOTS):
            slots.put(slot)
        questions = {
            str(number): {
                "type": "choice",
                "instructions": question.tail.strip(),
                "criteria": dict.fromkeys(question.labels),
            }
            for number, question in enumerate(task.questions)
        }

        def ask(text: str) -> list[str | None]:
            slot = slots.get()
            try:
                body = {"state": text, "context": head_of(task), "questions": questions}
                answers = engine.answer_request(body, id_slot=slot)["answers"]
            finally:
                slots.put(slot)
            return [str(answers[number]["choice"]) for number in questions]

        yield Peer(in_slots(pool, ask), lambda: served_tokens(address))


if __name__ == "__main__":
    main(open_peer)
