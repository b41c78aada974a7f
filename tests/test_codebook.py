from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclf.codebook import Codebook, Label, Question, number_text
from llmclf.errors import CodebookError, InputError, ScaleError
from llmclf.levels import Level

NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(bool)
VALUES = st.integers(-5, 5).map(float) | st.floats(allow_nan=False, allow_infinity=False)

BOOK = """
name = "reviews"
instructions = "Read closely."

[[question]]
name = "sentiment"
kind = "choice"
ask = "What is it?"
[[question.label]]
name = "bad"
definition = "It is bad."
includes = ["faults"]
[[question.label]]
name = "good"

[[question]]
name = "stars"
kind = "score"
ask = "How many?"
label = [{ name = "none", value = 0 }, { name = "half", value = 0.5 }, { name = "one", value = 1.0 }]

[[question]]
name = "topics"
kind = "set"
ask = "Which?"
label = [{ name = "price" }]
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "codebook.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def choice(*names: str) -> Question:
    return Question(name="q", kind="choice", ask="?", label=tuple(Label(name=name) for name in names))


def score(**values: float) -> Question:
    labels = tuple(Label(name=name, value=value) for name, value in values.items())
    return Question(name="q", kind="score", ask="?", label=labels)


def test_a_file_and_its_folder_are_the_same_codebook(tmp_path: Path) -> None:
    book = Codebook.load(written(tmp_path, BOOK))
    assert book == Codebook.load(str(tmp_path))
    assert book.folder == tmp_path
    assert (book.name, book.unit, book.instructions) == ("reviews", "text", "Read closely.")
    assert [question.name for question in book.questions] == ["sentiment", "stars", "topics"]
    assert [question.level for question in book.questions] == [Level.NOMINAL, Level.ORDINAL, Level.SET]
    assert [question.codes for question in book.questions] == [("bad", "good"), ("0", "0.5", "1"), ("price",)]
    assert book.get("sentiment").labels[0] == Label(name="bad", definition="It is bad.", includes=("faults",))


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    plain = Codebook.load(written(tmp_path, BOOK))
    assert Codebook.load(written(tmp_path, b"\xef\xbb\xbf" + BOOK.encode())) == plain


def test_the_hash_is_of_the_content_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    book = Codebook.load(written(tmp_path, BOOK))
    moved = Codebook.load(written(tmp_path / "elsewhere", "# a remark\n" + BOOK))
    assert moved.hash == book.hash
    hashes = {book.hash}
    for old, new in [
        ("reviews", "others"),
        ("closely", "fast"),
        ("What is it?", "What was it?"),
        ('"faults"', '"faults", "dirt"'),
        ("value = 0.5", "value = 0.6"),
        ('name = "good"', 'name = "fine"'),
        ('kind = "set"', 'kind = "set"\ncue = "It is"'),
        ('kind = "set"', 'kind = "set"\nrationale = true'),
        ('kind = "set"', 'kind = "set"\nevidence = true'),
    ]:
        assert old in BOOK
        hashes.add(Codebook.load(written(tmp_path, BOOK.replace(old, new, 1))).hash)
    assert len(hashes) == 10


def test_the_reasons_of_a_codebook_are_those_of_its_questions(tmp_path: Path) -> None:
    assert Codebook.load(written(tmp_path, BOOK)).reasons == ()
    for kind, reason in [("score", "rationale"), ("set", "evidence")]:
        text = BOOK.replace(f'kind = "{kind}"', f'kind = "{kind}"\n{reason} = true')
        book = Codebook.load(written(tmp_path, text))
        assert book.reasons == (reason,)
        assert [bool(question.reasons) for question in book.questions] == [False, kind == "score", kind == "set"]
    both = BOOK.replace('"set"', '"set"\nrationale = true').replace('"choice"', '"choice"\nevidence = true')
    assert Codebook.load(written(tmp_path, both)).reasons == ("evidence", "rationale")


def test_an_unknown_question_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown question 'sentimant': did you mean 'sentiment'"):
        Codebook.load(written(tmp_path, BOOK)).get("sentimant")


FAULTS = {
    "no TOML": ("name\n", "cannot be read as TOML: .*line 1"),
    "no UTF-8": (b'name = "\xff"', "cannot be read as TOML: .*utf-8"),
    "no name": (BOOK.replace('name = "reviews"', ""), "name: Field required"),
    "no question": ('name = "x"', "question: Field required"),
    "unknown key": ('nmae = "x"\n' + BOOK, "unknown key 'nmae': did you mean 'name'"),
    "a key of ours": ('folder = "x"\n' + BOOK, "unknown key 'folder'"),
    "unknown key of a question": (BOOK.replace("ask =", "aks ="), "question 1: unknown key 'aks': did you mean 'ask'"),
    "unknown key of a label": (
        BOOK.replace("definition", "defintion"),
        "question 1 label 1: unknown key 'defintion': did you mean 'definition'.*known are 'name', 'value'",
    ),
    "unknown kind": (BOOK.replace('"choice"', '"chioce"'), "question 1 kind: .*'choice', 'score' or 'set'"),
    "one label": (
        BOOK.replace("good", "bad2").replace('[[question.label]]\nname = "bad2"', ""),
        "has 1 label.*least 2",
    ),
    "no label in a set": (BOOK.replace('[{ name = "price" }]', "[]"), "'topics' has 0 label.*least 1"),
    "a label twice": (BOOK.replace('"good"', '" bad"'), "question 'sentiment': label 'bad' occurs more than once"),
    "a question twice": (BOOK.replace('"stars"', '"topics"'), "question 'topics' occurs more than once"),
    "a score without a value": (BOOK.replace(", value = 0.5", ""), "'stars': every label .* needs a finite value"),
    "an infinite value": (BOOK.replace("0.5", "inf"), "'stars': every label .* needs a finite value"),
    "values that do not ascend": (BOOK.replace("0.5", "1"), "'stars': the values .* must ascend"),
    "a value on a choice": (
        BOOK.replace('name = "good"', 'name = "good"\nvalue = 1'),
        "'sentiment': only the labels of a score question have a value",
    ),
    "a value as text": (BOOK.replace("value = 0.5", 'value = "half"'), "question 2 label 2 value: .*number"),
    "an empty name": (BOOK.replace('"good"', '" "'), "question 1 label 2 name: .*at least 1 character"),
    "a name that is another's value": (BOOK.replace('"none"', '"0.50"'), "'0.50' is the name of one label and the val"),
    "a rationale in words": (
        BOOK.replace('kind = "set"', 'kind = "set"\nrationale = "no"'),
        "question 3 rationale: .*valid boolean",
    ),
    "evidence as a number": (
        BOOK.replace('kind = "set"', 'kind = "set"\nevidence = 1'),
        "question 3 evidence: .*valid boolean",
    ),
    "a unit that is none": ('unit = "page"\n' + BOOK, "unit: .*'text' or 'conversation'"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_one_line_with_its_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(CodebookError, match=message) as error:
        Codebook.load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_no_codebook_is_an_error_that_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match=r"no codebook at .*codebook\.toml\. Give a folder that holds codebook"):
        Codebook.load(tmp_path)
    with pytest.raises(CodebookError, match=r"no codebook at .*nowhere\. Give"):
        Codebook.load(tmp_path / "nowhere")


def test_bare_labels_make_a_choice() -> None:
    (question,) = Codebook.from_labels(["b", "a"]).questions
    assert (question.kind, question.codes) == ("choice", ("b", "a"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "has 1 label"),
        ([], "has 0 label"),
        (["a", "b", "a "], "label 'a' occurs more than once"),
        (["a", ""], "1"),
    ],
)
def test_bad_bare_labels_are_an_error_that_says_what_to_give(labels: list[str], message: str) -> None:
    with pytest.raises(CodebookError, match=f"{message}.*Give two or more different labels"):
        Codebook.from_labels(labels)


@given(st.lists(NAMES, min_size=2, unique=True))
def test_labels_are_read_as_they_are_written(names: list[str]) -> None:
    question = choice(*names)
    assert [question.read(name) for name in names] == names


@given(st.lists(VALUES, min_size=2, unique=True).map(sorted))
def test_levels_are_read_by_value_and_by_name(values: list[float]) -> None:
    question = score(**{f"level {i}": value for i, value in enumerate(values)})
    assert len(set(question.codes)) == len(values)
    for i, (value, code) in enumerate(zip(values, question.codes, strict=True)):
        assert question.read(code) == question.read(f"level {i}") == question.read(repr(value)) == code
        assert float(code) == value


def test_numbers_are_written_as_people_write_them() -> None:
    assert [number_text(value) for value in (4.0, -0.0, 0.5, -3.0, 1e20)] == [
        "4",
        "0",
        "0.5",
        "-3",
        "100000000000000000000",
    ]
    question = score(low=1, high=2)
    assert [question.read(cell) for cell in ("1", "1.0", " 2 ", "2e0")] == ["1", "1", "2", "2"]


@pytest.mark.parametrize("cell", ["3", "1.5", "nan", "inf", "", "hi", "Low"])
def test_what_is_no_label_is_an_error_that_lists_the_labels(cell: str) -> None:
    with pytest.raises(ScaleError, match=f"question 'q': unknown label '{cell}': .*known are 'low', 'high', '1', '2'"):
        score(low=1, high=2).read(cell)


def test_a_number_is_no_other_spelling_where_labels_are_names() -> None:
    with pytest.raises(ScaleError, match=r"unknown label '1\.0': .*known are '1', '2'"):
        choice("1", "2").read("1.0")


def test_a_codebook_is_a_value() -> None:
    book = Codebook.from_labels(["a", "b"])
    assert book == Codebook.from_labels(["a", "b"])
    assert len({book, Codebook.from_labels(["a", "b"]), Codebook.from_labels(["a", "c"])}) == 2
    with pytest.raises(ValueError, match="frozen"):
        book.name = "other"  # type: ignore[misc]  # that it is refused is the point
