from collections.abc import Iterator
from pathlib import Path

import pytest

from llmclf.asking import Questions, choose_order
from llmclf.backends.base import Completion, Likelihoods, Reading, Structured
from llmclf.backends.local import LocalBackend
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook
from llmclf.errors import InputError
from llmclf.items import Item

LONG = "The service was slow, the room was cold and the breakfast was late. " * 6


def codebook(questions: int, definition: str = "", kind: str = "choice") -> Codebook:
    labels = [{"name": "yes", "definition": definition}, {"name": "no", "definition": definition}]
    asked = [
        {"name": f"q{number}", "kind": kind, "ask": f"Is this about matter {number}?", "label": labels}
        for number in range(questions)
    ]
    return Codebook.model_validate({"name": "book", "question": asked})


@pytest.fixture(scope="module")
def local(gguf: Path) -> Iterator[LocalBackend]:
    backend = LocalBackend(gguf, layout="shipped", context=2048)
    yield backend
    backend.close()


@pytest.mark.parametrize(
    ("questions", "text", "definition", "order"),
    [(6, LONG, "", "text"), (6, "Cold room.", LONG, "codebook"), (1, LONG, "", "codebook")],
)
def test_what_is_longer_is_read_once(
    local: LocalBackend, questions: int, text: str, definition: str, order: str
) -> None:
    items = [Item(str(number), text=f"{number}. {text}") for number in range(40)]
    chosen, again = choose_order(iter(items), codebook(questions, definition), local)
    assert chosen == order
    assert list(again) == items


def test_the_codebook_comes_first_where_the_backend_cannot_tell() -> None:
    stream = iter([Item("1", text=LONG)])
    scripted = ScriptedBackend(lambda request: Completion(request.id, "{}"))
    assert choose_order(stream, codebook(6), scripted) == ("codebook", stream)
    assert next(stream).id == "1"  # none was taken to find that out


def test_with_the_text_first_its_tokens_are_the_head_of_all_questions(local: LocalBackend) -> None:
    book = codebook(6)
    for order, shared in (("text", True), ("codebook", False)):
        questions = Questions(book, local, order)  # type: ignore[arg-type]  # both are orders
        contents = [
            messages[-1].content
            for asked in questions.asked
            for messages, _ in questions.about(Item("1", text=LONG), asked)
        ]
        assert all(content.startswith(f"Text:\n{LONG.strip()}") for content in contents) is shared
        assert all(content.rstrip().endswith(LONG.strip()) for content in contents) is not shared


def test_best_only_is_part_of_what_is_asked_of_one_label_questions(local: LocalBackend) -> None:
    reading = Reading(mean=True)
    for kind, form in (("choice", Likelihoods(("yes", "no"), reading)), ("set", Likelihoods(("yes", "no")))):
        book = codebook(1, kind=kind)
        questions = Questions(book, local, best_only=reading)
        asked = questions.about(Item("1", text="x"), questions.asked[0])
        assert [one for _, one in asked] == [form] * (1 if kind == "choice" else 2)


def test_best_only_of_written_labels_is_refused() -> None:
    scripted = ScriptedBackend(lambda request: Completion(request.id, "{}"), forms=frozenset({Structured}))
    with pytest.raises(InputError, match="Leave out --best-only"):
        Questions(codebook(1), scripted, best_only=Reading())
