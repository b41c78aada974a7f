import random
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from llmclf.agreement import Estimate
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.agreement.probability_quality import expected_calibration_error
from llmclf.errors import InputError, MissingPackage
from llmclf.items import Item
from llmclf.status import Status
from llmclf.students.distillation import Example, Student, Taught
from llmclf.students.file import load_student, save_student
from llmclf.students.fitting import FOLDS, folds
from llmclf.students.lessons import Lesson

from .lessons import texts

NEW = list(texts(400, seed=1))


def taught(number: int = 300, wrong: float = 0.0, seed: int = 0) -> list[Lesson]:
    drawn = random.Random(-seed)
    other = {"sport": "money", "money": "sport"}
    return [Lesson(text, other[label] if drawn.random() < wrong else label) for text, label in texts(number, seed)]


def accuracy(student: Student) -> float:
    labels = np.array(student.codes)[student.probabilities([text for text, _ in NEW]).argmax(axis=1)]
    return float(np.mean(labels == [label for _, label in NEW]))


def agreement(student: Student, least_confidence: float = 0.0) -> float:
    found = percent_agreement(student.beside_teacher(least_confidence))
    assert isinstance(found, Estimate)
    return found.value


def test_a_student_says_what_its_teacher_would() -> None:
    student = Student.fit(taught(), question="about", teacher="m")
    assert accuracy(student) > 0.98
    (first, *_) = student.annotate([Example(Item("a", text="the team won the match"))])
    assert (first.item, first.question, first.annotator, first.label) == ("a", "about", "student(m)", "sport")
    assert (first.origin, first.status) == ("student", Status.OK)
    assert first.probability == first.probabilities["sport"] > 0.9
    assert sum(first.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_a_text_is_labelled_by_a_student_that_has_not_learned_from_it() -> None:
    drawn = random.Random(3)
    student = Student.fit([Lesson(text, drawn.choice(["sport", "money"])) for text, _ in texts(300)])
    assert agreement(student) < 0.6  # what says nothing cannot be told; learned by heart it would be near 1
    lessons = taught(wrong=0.2)
    student = Student.fit(lessons)
    none = Taught(student.taught.keys[:0], student.taught.given[:0], student.taught.cross_fitted[:0])
    of_teachers_label = {
        name: np.mean([row[one.codes.index(str(lesson.label))] for row, lesson in zip(rows, lessons, strict=True)])
        for name, one in (("held out", student), ("by heart", replace(student, taught=none)))
        for rows in [one.probabilities([lesson.text for lesson in lessons])]
    }
    assert of_teachers_label["by heart"] > of_teachers_label["held out"] + 0.02
    wrong, *others = taught()
    student = Student.fit([Lesson(wrong.text, "money" if wrong.label == "sport" else "sport"), *others])
    (said,) = student.annotate([Example(Item("a", text=wrong.text))])
    assert said.label == wrong.label
    assert student.knows(wrong.text)
    assert not student.knows(NEW[0][0])


def test_the_order_of_the_lessons_does_not_matter() -> None:
    lessons = taught(wrong=0.2)
    turned = lessons[::-1]
    one, other = (Student.fit(order).probabilities([text for text, _ in NEW]) for order in (lessons, turned))
    assert (one == other).all()


def test_equal_texts_count_once_and_the_first_of_them_counts() -> None:
    lessons = taught()
    again = [Lesson(lesson.text, "sport") for lesson in lessons]
    student = Student.fit([*lessons, *again])
    assert len(student.taught.keys) == len(lessons)
    assert accuracy(student) > 0.98


def test_folds_share_out_each_stratum_evenly() -> None:
    strata = np.array([0] * 13 + [1] * 50 + [2] * 5)
    fold = folds(strata)
    counts = [np.bincount(fold[strata == stratum], minlength=FOLDS) for stratum in range(3)]
    assert all(np.ptp(count) <= 1 for count in counts)
    assert counts[2].tolist() == [1] * FOLDS


def test_scores_are_those_of_scikit_learn_but_for_a_scale() -> None:
    lessons = taught(wrong=0.1)
    student = Student.fit(lessons)
    ordered = [lesson for _, lesson in sorted((student.words.transform([one.text]).sum(), one) for one in lessons)]
    features = TfidfVectorizer(token_pattern=student.words.token_pattern, ngram_range=(1, 2), sublinear_tf=True)
    x = features.fit_transform([lesson.text for lesson in ordered])
    is_sport = [lesson.label == "sport" for lesson in ordered]
    model = LogisticRegression(C=student.strength, tol=1e-8, solver="liblinear").fit(x, is_sport)
    theirs = model.decision_function(features.transform([text for text, _ in NEW]))
    p = student.probabilities([text for text, _ in NEW])[:, student.codes.index("sport")]
    ours = np.log(p / (1 - p))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9999


def test_a_student_that_was_saved_says_the_same(tmp_path: Path) -> None:
    student = Student.fit(taught(wrong=0.1), question="about", teacher="m", source="abc")
    save_student(tmp_path / "s.npz", student)
    again = load_student(tmp_path / "s.npz")
    both = [text for text, _ in NEW] + [lesson.text for lesson in taught()]
    assert (student.probabilities(both) == again.probabilities(both)).all()
    assert (again.question, again.teacher, again.source, again.codes) == ("about", "m", "abc", student.codes)
    assert agreement(again) == agreement(student)


def test_probabilities_mean_what_they_say_about_the_teacher() -> None:
    student = Student.fit(taught(2000, wrong=0.2))
    asked = taught(2000, wrong=0.2, seed=5)
    p = student.probabilities([lesson.text for lesson in asked])
    reference = np.array([student.codes.index(str(lesson.label)) for lesson in asked])
    error = expected_calibration_error(p, reference)
    assert isinstance(error, Estimate)
    assert error.value < 0.04
    assert p.max(axis=1).mean() == pytest.approx(0.8, abs=0.03)


def test_where_it_is_sure_it_agrees_more() -> None:
    lessons = taught(600)
    lessons += [Lesson(f"oldtown no{n} redday", random.Random(n).choice(["sport", "money"])) for n in range(200)]
    student = Student.fit(lessons)
    below = student.threshold(0.25)
    assert agreement(student, below) > 0.95 > agreement(student)
    confidence = student.confidence(student.taught.cross_fitted)
    assert np.mean(confidence < below) == pytest.approx(0.25, abs=0.01)


def test_what_the_teacher_doubts_counts_less() -> None:
    drawn = random.Random(2)
    doubted = []
    for lesson in taught(400):
        is_wrong = drawn.random() < 0.45
        label = str(lesson.label) if not is_wrong else {"sport": "money", "money": "sport"}[str(lesson.label)]
        p = 0.51 if is_wrong else 0.95
        doubted.append(Lesson(lesson.text, label, {label: p, ({"sport", "money"} - {label}).pop(): 1 - p}))
    soft = Student.fit(doubted)
    hard = Student.fit(Lesson(lesson.text, lesson.label) for lesson in doubted)
    assert accuracy(soft) > accuracy(hard) + 0.05


def test_a_label_that_probabilities_contradict_is_learned_as_it_is() -> None:
    other = {"sport": "money", "money": "sport"}
    lessons = [Lesson(one.text, one.label, {str(one.label): 0.4, other[str(one.label)]: 0.6}) for one in taught()]
    assert accuracy(Student.fit(lessons)) > 0.98


def test_of_many_labels_those_given_too_seldom_are_never_given() -> None:
    lessons = [Lesson(text, label) for text, label in texts(300, labels=("sport", "money", "weather"))]
    rare = [Lesson(f"curious thing {n}", "other") for n in range(4)]
    student = Student.fit([*lessons, *rare])
    assert sorted(student.codes) == ["money", "sport", "weather"]
    assert student.too_rare == {"other": 4}
    assert agreement(student) > 0.98


def test_labels_stand_in_the_order_in_which_the_teacher_was_asked() -> None:
    lessons = [Lesson(text, label, {"sport": 0.5, "money": 0.5}) for text, label in texts(100)]
    assert Student.fit(lessons).codes == ("sport", "money")
    assert Student.fit(Lesson(one.text, one.label) for one in lessons).codes == ("money", "sport")


def set_lessons() -> list[Lesson]:
    both = list(texts(150, seed=8, labels=("sport",))), list(texts(150, seed=9, labels=("money",)))
    lessons = [Lesson(text, (label,)) for part in both for text, label in part]
    lessons += [Lesson(f"{a} {b}", ("money", "sport")) for (a, _), (b, _) in zip(*both, strict=True)]
    return lessons + [Lesson(f"{text} {n}", ()) for n, (text, _) in enumerate(texts(150, seed=4, labels=("weather",)))]


def test_a_set_has_the_labels_that_apply_each_by_itself() -> None:
    student = Student.fit(set_lessons())
    asked = ["team match goal bank profit loan", "rain storm snow", "team match coach"]
    said = list(student.annotate(Example(Item(str(n), text=text)) for n, text in enumerate(asked)))
    assert [sorted(one.label or ()) for one in said] == [["money", "sport"], [], ["sport"]]
    both = said[0].probabilities
    assert said[0].probability == pytest.approx(both["money"] * both["sport"], abs=1e-5)
    assert said[1].probability == pytest.approx(np.prod([1 - p for p in said[1].probabilities.values()]), abs=1e-5)
    assert agreement(student) > 0.9


def test_embeddings_are_learned_from_in_place_of_words() -> None:
    drawn = np.random.default_rng(0)

    def vector(label: str) -> npt.NDArray[np.float32]:
        return drawn.normal([100 + 5 * (label == "sport"), 100, 100]).astype(np.float32)

    student = Student.fit(Lesson(text, label, vector=vector(label)) for text, label in texts(200))
    said = student.annotate(Example(Item(str(n), text=text), vector(label)) for n, (text, label) in enumerate(NEW))
    assert np.mean([one.label == label for one, (_, label) in zip(said, NEW, strict=True)]) > 0.95
    with pytest.raises(InputError, match="reads embeddings"):
        student.probabilities(["a"])
    with pytest.raises(InputError, match="embeddings of 3 numbers, and these have 2"):
        student.probabilities(["a"], [np.zeros(2, dtype=np.float32)])


def test_an_item_that_nothing_can_be_asked_about_has_no_label() -> None:
    student = Student.fit(taught())
    items = [Item("a"), Item("b", text="match"), Item("c", text="\udcff")]
    said = list(student.annotate(map(Example, items)))
    assert [(one.label, one.status) for one in said] == [
        (None, Status.EMPTY),
        ("sport", Status.OK),
        (None, Status.BAD_ENCODING),
    ]
    assert [one.status for one in student.annotate([Example(items[0])])] == [Status.EMPTY]


def test_a_language_without_spaces_is_read_by_its_characters() -> None:
    about = {"sport": "球队赢了比赛", "money": "银行股票大涨"}
    signs = "天地人山水火木金土日月年"
    drawn = random.Random(0)
    lessons = [
        Lesson(
            "".join(drawn.choices(signs, k=6)) + drawn.choice(list(pairs)) + "".join(drawn.choices(signs, k=6)), label
        )
        for label, text in about.items()
        for pairs in [[a + b for a, b in pairwise(text)]]
        for _ in range(60)
    ]
    assert agreement(Student.fit(lessons)) > 0.9


@pytest.mark.parametrize(
    ("lessons", "said"),
    [
        (taught(20), "needs 50 labelled texts, and there are 20. .*equal texts count once"),
        ([Lesson(text, "sport") for text, _ in texts(100)], "all texts have the label sport"),
        ([*taught(60), Lesson("x", ("sport",))], "some labels are sets and some are not"),
        (
            [Lesson(text, (label,) if n < 4 else ()) for n, (text, label) in enumerate(texts(60))],
            "no label was given to",
        ),
        ([], "there are 0"),
    ],
)
def test_what_cannot_be_learned_is_refused(lessons: list[Lesson], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Student.fit(lessons)


def test_without_scikit_learn_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(MissingPackage, match=r"pip install 'llmclf\[sklearn\]'"):
        Student.fit(taught())


def test_only_a_student_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    with pytest.raises(InputError, match="cannot be read"):
        load_student(path)
    for content in (b"", b"no student", b"PK\x03\x04 no zip", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no student"):
            load_student(path)
    np.savez(path, about=np.array([{"version": 1}], dtype=object))
    with pytest.raises(InputError, match="is no student"):
        load_student(path)
    np.savez(path, about=np.frombuffer(b'{"version": 9}', dtype=np.uint8))
    with pytest.raises(InputError, match="of version 9"):
        load_student(path)
    with pytest.raises(InputError, match="cannot write"):
        save_student(tmp_path / "no" / "s.npz", Student.fit(taught()))
