"""instructor: pydantic models from an OpenAI-compatible server, as many requests at a time as it has slots."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import instructor  # type: ignore[import-not-found]  # lives in an environment of its own
from instructor.core.exceptions import InstructorError  # type: ignore[import-not-found]  # the same
from openai import OpenAI
from pydantic import BaseModel, create_model

from evals.peers.measure import Peer, Question, Task, main
from evals.peers.server import SLOTS, in_slots, served_tokens, serving


def open_peer(task: Task) -> Iterator[Peer]:
    """Open a client whose answers llama.cpp's server holds to the model's JSON schema."""
    with serving(task) as address, ThreadPoolExecutor(SLOTS) as pool:
        client = instructor.from_openai(
            OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0), mode=instructor.Mode.JSON_SCHEMA
        )
        models = {question: _model(task, question) for question in task.questions}

        def ask(text: str, question: Question) -> str | None:
            try:
                reply = client.chat.completions.create(
                    model="local",
                    response_model=models[question],
                    max_retries=0,
                    temperature=0.0,
                    max_tokens=task.max_tokens,
                    messages=[
                        {"role": "system", "content": task.system},
                        {"role": "user", "content": f"{task.head}{text}{question.tail}"},
                    ],
                )
            except InstructorError:  # cut, or no label
                return None
            return str(reply.label) if task.mode == "choose" else str(reply.model_dump_json())

        def ask_all(text: str) -> list[str | None]:
            return [ask(text, question) for question in task.questions]

        yield Peer(in_slots(pool, ask_all), lambda: served_tokens(address))


def _model(task: Task, question: Question) -> type[BaseModel]:
    fields: dict[str, Any] = {"label": (Literal[question.labels], ...)}
    if task.mode == "generate":
        fields["rationale"] = (str, ...)
    return create_model("Answer", **fields)


if __name__ == "__main__":
    main(open_peer)
