from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader

from llmclf.codebook import Codebook
from llmclf.items import Item
from llmclf.prompts import PROMPT_FILE, Prompt
from llmclf.verbatim import puts_text_in_verbatim

BOOK = """
name = "b"
[[question]]
name = "q"
kind = "choice"
ask = "Which?"
label = [{name = "x"}, {name = "y"}]
"""
PLAIN = [
    "{% block user %}{{ question.ask }} {{ item.text }}{% endblock %}",
    "{% block user %}{% if item.turns %}{% for t in item.turns %}{{ t.text }}{% endfor %}{% else %}{{ item.text }}"
    "{% endif %}{% endblock %}",
    "{% macro words() %}<{{ item.text }}>{% endmacro %}{% block user %}{{ words() }}{% endblock %}",
    '{% extends "default.jinja" %}{% block system %}{{ question.ask | upper }}{% endblock %}',
    '{% extends "default.jinja" %}{% block user %}{{ super() }}!{% endblock %}',
]
NOT_PLAIN = [
    "{% block user %}{{ item.text | upper }}{% endblock %}",
    "{% block user %}{{ item.text }}{% if item.text | length > 3 %} (long){% endif %}{% endblock %}",
    "{% block user %}{{ item.text[:2] }}{% endblock %}",
    "{% block user %}{{ item['text'] | upper }}{% endblock %}",
    "{% block user %}{% set t = item.text %}{{ t }}{% endblock %}",
    "{% block user %}{% set t = item %}{{ t.text | upper }}{% endblock %}",
    "{% block user %}{% set t %}{{ item.text }}{% endset %}{{ t | upper }}{% endblock %}",
    "{% block user %}{% filter upper %}{{ item.text }}{% endfilter %}{% endblock %}",
    "{% block user %}{{ item.words }}{% endblock %}",
    "{% block user %}{{ item.id }}{{ item.text }}{% endblock %}",
    "{% block user %}{{ item.text ~ '!' }}{% endblock %}",
    "{% macro m() %}{{ item.text }}{% endmacro %}{% block user %}{{ m() | upper }}{% endblock %}",
    "{% macro m() %}{{ item.text }}{% endmacro %}{% block user %}{% if m() == 'a' %}A{% endif %}b{% endblock %}",
    "{% macro m() %}{{ item.text }}{% endmacro %}{% set n = m %}{% block user %}{{ n() | upper }}{% endblock %}",
    "{% macro m(x) %}{{ x.text | upper }}{% endmacro %}{% block user %}{{ m(item) }}{% endblock %}",
    '{% extends "default.jinja" %}{% block user %}{{ super() | upper }}{% endblock %}',
    '{% extends "default.jinja" %}{% block system %}{{ self.user() | upper }}{% endblock %}',
]


def prompt(folder: Path, template: str) -> tuple[Codebook, Prompt]:
    (folder / "codebook.toml").write_text(BOOK)
    (folder / PROMPT_FILE).write_text(template)
    book = Codebook.load(folder)
    return book, Prompt(book)


@pytest.mark.parametrize(("template", "is_plain"), [(t, True) for t in PLAIN] + [(t, False) for t in NOT_PLAIN])
def test_a_template_that_looks_at_the_text_is_told_from_one_that_puts_it_in(
    tmp_path: Path, template: str, is_plain: bool
) -> None:
    default = Path(__file__).parents[1] / "llmclf" / "templates"
    (tmp_path / "t.jinja").write_text(template)
    environment = Environment(loader=FileSystemLoader([tmp_path, default]))
    assert puts_text_in_verbatim(environment, "t.jinja") == is_plain


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=3))
@pytest.mark.parametrize("template", [*PLAIN, *NOT_PLAIN])
def test_a_prompt_says_of_each_text_what_it_says_of_the_first(
    tmp_path_factory: pytest.TempPathFactory, template: str, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("prompt")
    book, many = prompt(folder, template)
    for text in texts:
        _, fresh = prompt(folder, template)
        fresh._is_verbatim = False
        item = Item("1", text=text)
        assert many.messages(book.questions[0], item) == fresh.messages(book.questions[0], item)
