"""What a hosted job is held against: a loop over the openai client that keeps the same number of requests in flight.

python -m evals.bulk_bare ADDRESS CODEBOOK CONCURRENCY ROWS
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.bulk_servers import text
from llmclf.codebook import Codebook
from llmclf.items import Item
from llmclf.prompts import Prompt
from llmclf.schemas import reply_schema


def bodies(codebook: Codebook, rows: int) -> Iterator[dict[str, Any]]:
    """Give what llmclf would send for each row, without its work: the prompt is rendered once, and the text put in."""
    (question,) = codebook.questions
    schema = reply_schema(question)
    place = "{text}"
    messages = [
        (message.role, message.content)
        for message in Prompt(codebook).messages(question, Item("", text=place), reply_schema=schema)
    ]
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": json.loads(schema)}}
    for number in range(rows):
        said = [{"role": role, "content": content.replace(place, text(number))} for role, content in messages]
        yield {
            "model": "scripted",
            "messages": said,
            "response_format": form,
            "temperature": 0.0,
            "max_tokens": 512,
        }


async def ask_all(address: str, codebook: Codebook, concurrency: int, rows: int) -> list[str]:
    """Ask about all rows, and give the labels in the order of the answers."""
    import openai

    client = openai.AsyncOpenAI(api_key="none", base_url=address, max_retries=0)
    requests, labels = bodies(codebook, rows), []

    async def work() -> None:
        for body in requests:
            answer = await client.chat.completions.create(**body)
            labels.append(json.loads(answer.choices[0].message.content)["label"])

    await asyncio.gather(*(work() for _ in range(concurrency)))
    await client.close()
    return labels


def main() -> None:
    """Ask about all rows."""
    address, codebook, concurrency, rows = sys.argv[1:]
    asyncio.run(ask_all(address, Codebook.load(Path(codebook)), int(concurrency), int(rows)))


if __name__ == "__main__":
    main()
