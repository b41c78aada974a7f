"""The codebooks in `prompts/`: each loads, renders, and asks what its data hold.

After a change that is meant, `UPDATE_GOLDEN=1 pytest tests/test_prompts_folder.py` writes the golden files anew.
"""

import os
from pathlib import Path

import pytest

from evals.empathy_data import FRAMEWORKS
from evals.empathy_label import CODEBOOKS, PROMPTS
from llmclf.codebook import Codebook
from llmclf.items import Item, Turn
from llmclf.prompts import Prompt

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(folder.name for folder in PROMPTS.iterdir() if folder.is_dir())
ITEMS = {
    "text": Item("1", text="the strap broke after a week."),
    "conversation": Item("1", turns=(Turn("Seeker", "My dog died."), Turn("Supporter", "Oh no. How old was he?"))),
}


def test_folders() -> None:
    assert set(FOLDERS) >= {"sentiment", *CODEBOOKS.values()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_codebook_loads_and_renders(folder: str) -> None:
    codebook = Codebook.load(PROMPTS / folder)
    assert codebook.name == folder
    Prompt(codebook).check()


@pytest.mark.parametrize("folder", FOLDERS)
def test_rendered_prompt(folder: str) -> None:
    codebook = Codebook.load(PROMPTS / folder)
    messages = Prompt(codebook).messages(codebook.questions[0], ITEMS[codebook.unit])
    rendered = "".join(f"[{message.role}]\n{message.content}\n" for message in messages)
    golden = GOLDEN / f"prompt_{folder}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(rendered, encoding="utf-8")
    assert rendered == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("framework", CODEBOOKS)
def test_questions_are_the_dimensions_of_the_data(framework: str) -> None:
    codebook = Codebook.load(PROMPTS / CODEBOOKS[framework])
    assert codebook.unit == "conversation"
    assert tuple(question.name for question in codebook.questions) == FRAMEWORKS[framework].dimensions
    for question in codebook.questions:
        assert question.kind == "score"
        assert question.codes == FRAMEWORKS[framework].scale


def test_sentiment_labels() -> None:
    (question,) = Codebook.load(PROMPTS / "sentiment").questions
    assert (question.name, question.kind) == ("sentiment", "choice")
    assert question.codes == ("negative", "neutral", "positive")
