"""Models that answer the question `mood`: their tables as `llmclf annotate` writes them, and a server's reply."""

import json
from collections.abc import Mapping
from typing import Any

HEADER = "item,question,annotator,kind,label,probability,probabilities,origin,samples,status\n"


def table(model: str, sad: Mapping[str, float | None]) -> str:
    """Write a model's table from its probability of `sad` by item; None is an answer that was cut."""
    rows = []
    for item, p in sad.items():
        if p is None:
            rows.append(f"{item},mood,{model},model,,,,,,cut\n")
            continue
        cell = json.dumps({"glad": round(1 - p, 6), "sad": p}).replace('"', '""')
        label = "sad" if p > 0.5 else "glad"
        rows.append(f'{item},mood,{model},model,{label},{max(p, round(1 - p, 6))},"{cell}",likelihoods,,ok\n')
    return HEADER + "".join(rows)


def without_probabilities(model: str, labels: Mapping[str, str]) -> str:
    """Write the table of a model that gives labels alone."""
    return HEADER + "".join(f"{item},mood,{model},model,{label},,,,,ok\n" for item, label in labels.items())


def chat(label: str, prompt_tokens: int = 0) -> dict[str, Any]:
    """Give what a chat server replies."""
    message = {"role": "assistant", "content": json.dumps({"label": label})}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 0, "total_tokens": prompt_tokens}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
