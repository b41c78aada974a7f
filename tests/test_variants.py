from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclf.codebook import Codebook, Label, Question
from llmclf.items import Item, Turn
from llmclf.record_json import canonical_json, json_of
from llmclf.variants import PLAIN, Variant, asked_questions, items_that_say, orders, random_words

CHOICE = Question(name="q", kind="choice", ask="?", label=tuple(Label(name=name) for name in "abcd"))
SCORE = Question(name="s", kind="score", ask="?", label=(Label(name="low", value=1), Label(name="high", value=2)))
BOOK = Codebook(name="b", question=(CHOICE, SCORE))
TALK = Codebook(name="t", unit="conversation", question=(CHOICE,))


def names(question: Question) -> str:
    return "".join(label.name for label in question.label)


@given(st.integers(2, 9), st.integers(2, 12))
def test_every_label_stands_in_every_place_once_in_all_cyclic_orders(n_labels: int, count: int) -> None:
    question = CHOICE.model_copy(update={"label": tuple(Label(name=name) for name in "abcdefghi"[:n_labels])})
    asked = asked_questions(Codebook(name="b", question=(question,)), (PLAIN, *orders(count)))
    listed = [names(one.question) for one in asked]
    assert len(set(listed)) == len(listed) == min(count, n_labels)
    if count >= n_labels:
        assert all(len({order[place] for order in listed}) == n_labels for place in range(n_labels))
    assert all(set(one.codes) == set(question.codes) for one in asked)


def test_a_scale_is_turned_round_and_not_rotated() -> None:
    asked = [one for one in asked_questions(BOOK, (PLAIN, *orders(4))) if one.base == SCORE]
    assert [one.codes for one in asked] == [("1", "2"), ("2", "1")]


def test_letters_stand_for_names_which_become_definitions() -> None:
    book = Codebook(
        name="b", question=(CHOICE.model_copy(update={"label": (Label(name="B", definition="x"), Label(name="A"))}),)
    )
    (asked,) = asked_questions(book, (Variant("codes"),))
    assert [(label.name, label.definition) for label in asked.question.label] == [("A", "B: x"), ("B", "A")]
    assert asked.codes == ("B", "A")


def test_more_labels_than_letters_are_numbered() -> None:
    question = CHOICE.model_copy(update={"label": tuple(Label(name=f"label {n}") for n in range(30))})
    (asked,) = asked_questions(Codebook(name="b", question=(question,)), (Variant("codes"),))
    assert asked.question.codes[:2] + asked.question.codes[-1:] == ("1", "2", "30")


def test_a_paraphrase_is_asked_of_its_question_alone() -> None:
    asked = asked_questions(BOOK, (Variant("paraphrase", 1, 1, (("s", "How much?"),)),))
    assert [(one.base.name, one.question.ask) for one in asked] == [("s", "How much?")]


def test_ways_come_side_by_side_for_each_question() -> None:
    asked = asked_questions(BOOK, (PLAIN, Variant("codes")))
    assert [(one.base.name, str(one.variant)) for one in asked] == [
        ("q", "plain"), ("q", "codes"), ("s", "plain"), ("s", "codes")
    ]  # fmt: skip


def test_repeats_are_other_questions_and_a_way_by_another_name_is_the_same() -> None:
    (plain,) = asked_questions(TALK, (PLAIN,))
    (repeat,) = asked_questions(TALK, (Variant("repeat", 1),))
    (second,) = asked_questions(TALK, (Variant("order", 1, 2),))
    (third,) = asked_questions(TALK, (Variant("order", 2, 4),))
    assert not plain.is_same(repeat)
    assert second.is_same(third)


def test_random_words_are_the_items_own_and_the_same_each_time() -> None:
    items = [Item("1", text="one two three"), Item("2", text=""), Item("3", text="four")]
    texts = random_words(items, 5)
    assert texts == random_words(items, 5)
    assert {word for text in texts for word in text.split()} <= {"one", "two", "three", "four"}
    assert {len(text.split()) for text in texts} == {2}
    assert len(set(texts)) > 1
    assert random_words([Item("1", text="")], 5) == ()


def test_in_a_conversation_those_speak_who_do_in_the_longest_item() -> None:
    turns = (Turn("Ann", "x"), Turn("Bot", "y"), Turn("Ann", "z"))
    like = [Item("1", turns=turns[:1]), Item("2", turns=turns)]
    short, long = items_that_say(["N/A", "one two three four"], TALK, like)
    assert short.words == "Ann: N/A\nBot: N/A\nAnn: N/A"
    assert long.words == "Ann: one\nBot: two\nAnn: three four"
    assert items_that_say(["N/A"], TALK)[0].words == "A: N/A"


@pytest.mark.parametrize("variant", [PLAIN, Variant("paraphrase", 2, 3, (("q", "Why?"),)), Variant("codes")])
def test_a_way_is_read_again_as_it_was_recorded(variant: Variant) -> None:
    assert Variant.of_json(json_of(canonical_json(asdict(variant)))) == variant
