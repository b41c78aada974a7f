from pathlib import Path

import pytest

from llmclf.codebook import Codebook, Label, Question
from llmclf.errors import InputError
from llmclf.items import Item
from llmclf.policy import DEFAULT, POLICIES, RAW, Policy

CHOICE = Question(name="mood", kind="choice", ask="?", label=(Label(name="glad"), Label(name="sad")))
SET = Question(name="topics", kind="set", ask="?", label=(Label(name="work"), Label(name="health")))
BOOK = Codebook(name="b", question=(CHOICE, SET))


def test_a_file_says_what_differs_from_raw(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('reading = "mean"\norders = 3\n[paraphrases]\nmood = ["How?", "Why?"]\n')
    policy = Policy.load(path)
    assert policy == Policy(name="mine", reading="mean", orders=3, paraphrases={"mood": ("How?", "Why?")})
    assert [str(way) for way in policy.variants] == ["plain", "order 1", "order 2", "paraphrase 1", "paraphrase 2"]


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    for policy in POLICIES.values():
        path.write_text(policy.model_dump_json(exclude_defaults=True))
        assert Policy.load(path).model_copy(update={"name": policy.name}) == policy


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("temprature = 2", "did you mean 'temperature'"),
        ("temperature = 0", "temperature"),
        ("channel = true\norders = 2", "asked in one way"),
        ("[prior.mood]\nglad = 0.5\nsad = 0.5", "a prior takes the place"),
        ('correction = "batch"\n[prior.mood]\nglad = 0.5\nsad = 0.6', "sum to 1.1, not to 1"),
        ('correction = "content-free"\ncontent_free = [" "]', "at least a character"),
        ('correction = "content-free"\ncontent_free = []', "takes texts"),
        ("window = 3", "window"),
        ("reading = ", "cannot be read as TOML"),
    ],
)
def test_a_bad_file_gets_one_line(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "bad.toml").write_text(content)
    with pytest.raises(InputError) as error:
        Policy.load(tmp_path / "bad.toml")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "says"), [("defualt", "did you mean 'default'"), ("no.toml", "no policy at no.toml")])
def test_an_unknown_policy_is_named_with_the_known(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Policy.load(name)


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Policy(paraphrases={"moods": ("x",)}), "did you mean 'mood'"),
        (Policy(correction="batch", prior={"mood": {"glad": 1.0}}), "not one share to each label"),
        (Policy(correction="batch", prior={"mood": {"glad": 0.5, "bad": 0.5}}), "unknown label 'bad'"),
        (Policy(correction="batch", prior={"topics": {"work": 0.5, "health": 0.5}}), "Leave it out"),
    ],
)
def test_a_policy_speaks_of_the_codebooks_questions_and_labels(policy: Policy, says: str) -> None:
    with pytest.raises(InputError, match=says):
        policy.check(BOOK)


def test_what_each_policy_assumes_of_the_label_shares_is_said() -> None:
    assert DEFAULT.assumes == RAW.assumes == "no label shares"
    assert "equal label shares in the first 1000 items" in POLICIES["batch"].assumes
    assert "declared" in Policy(correction="content-free", prior={"mood": {"glad": 0.1, "sad": 0.9}}).assumes


def test_the_default_is_for_likelihoods_and_others_say_what_they_take() -> None:
    assert DEFAULT.for_answers(BOOK, "likelihoods") == DEFAULT
    assert DEFAULT.for_answers(BOOK, "logprobs") == DEFAULT.for_answers(BOOK, None) == RAW
    assert POLICIES["content-free"].for_answers(BOOK, "samples") == POLICIES["content-free"]
    reasoned = Codebook(name="b", question=(CHOICE, SET.model_copy(update={"evidence": True})))
    assert DEFAULT.for_answers(reasoned, "likelihoods") == RAW
    with pytest.raises(InputError, match="'topics' asks for reasons"):
        POLICIES["batch"].for_answers(reasoned, "likelihoods")
    for name, origin in (("content-free", None), ("batch", None), ("channel", "logprobs")):
        with pytest.raises(InputError, match="takes the likelihoods"):
            POLICIES[name].for_answers(BOOK, origin)  # type: ignore[arg-type]  # all are origins
    assert DEFAULT.for_best_only() == RAW
    with pytest.raises(InputError, match="--best-only"):
        POLICIES["mean"].for_best_only()


def test_too_few_items_have_texts_that_are_always_the_same() -> None:
    few, many = ([Item(str(n), text="x y") for n in range(count)] for count in (19, 50))
    assert DEFAULT.for_items(few).texts(few).all == ("N/A", "[MASK]", "...")
    assert DEFAULT.for_items(few).name == "default, content-free"
    assert len(DEFAULT.for_items(many).texts(many).all) == 23
    assert POLICIES["random-words"].for_items(few).texts(few).all == ("N/A", "[MASK]", "...")
    assert POLICIES["batch"].for_items(few).correction == "content-free"
    assert POLICIES["batch"].for_items(many) == POLICIES["batch"]
    assert RAW.for_items([]) == RAW
