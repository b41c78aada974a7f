import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmclf
from llmclf.backends.base import Completion, Reply, Request, Structured
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook
from llmclf.errors import MissingPackage, StoreError
from llmclf.items import Item, Turn
from llmclf.redaction import Redactor
from llmclf.status import Status


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.redactions.sqlite"


@pytest.fixture
def redactor(path: Path) -> Iterator[Redactor]:
    redactor = Redactor.open(path)
    yield redactor
    redactor.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redactor]:
    redactor = Redactor.open(tmp_path_factory.mktemp("redactions") / "shared.sqlite")
    yield redactor
    redactor.close()


def test_each_kind_has_its_placeholders(redactor: Redactor) -> None:
    text = (
        "bob@example.org paid DE89370400440532013000 with 4111 1111 1111 1111, or call 212-555-0123 or ann@example.org"
    )
    said = redactor.redact(text)
    assert said == "[EMAIL_1] paid [IBAN_1] with [CARD_1], or call [PHONE_1] or [EMAIL_2]"
    assert redactor.restore(said) == text


def test_the_same_value_has_the_same_placeholder_in_all_items_and_runs(path: Path) -> None:
    first, second = Redactor.open(path), Redactor.open(path)
    assert first.redact("a@example.org") == second.redact("a@example.org") == "[EMAIL_1]"
    assert second.redact("b@example.org") == "[EMAIL_2]"
    assert first.redact("c@example.org") == "[EMAIL_3]"
    for redactor in (first, second):
        redactor.close()
    third = Redactor.open(path)
    assert third.redact("c@example.org, b@example.org, 212-555-0123") == "[EMAIL_3], [EMAIL_2], [PHONE_1]"
    assert third.restore("[EMAIL_1]") == "a@example.org"
    third.close()


def test_what_is_spelt_otherwise_is_restored_as_it_was_spelt(redactor: Redactor) -> None:
    text = "Bob@example.org and bob@example.org"
    assert redactor.redact(text) == "[EMAIL_1] and [EMAIL_2]"
    assert redactor.restore("[EMAIL_2] and [EMAIL_1]") == "bob@example.org and Bob@example.org"


def test_an_item_is_redacted_in_all_its_words_and_keeps_its_id(redactor: Redactor) -> None:
    turns = (Turn("bob@example.org", "I am 212-555-0123."), Turn("B", "And I?"))
    item = redactor.item(Item("bob@example.org", turns=turns))
    assert item == Item("bob@example.org", turns=(Turn("[EMAIL_1]", "I am [PHONE_1]."), Turn("B", "And I?")))
    assert redactor.item(Item("1", text="to bob@example.org")) == Item("1", text="to [EMAIL_1]")


def test_an_item_without_personal_data_and_one_that_is_not_asked_about_stay_as_they_are(redactor: Redactor) -> None:
    for item in (Item("1", text="Nothing."), Item("2"), Item("3", text="bob@example.org \udc80")):
        assert redactor.item(item) is item
    assert Item("3", text="bob@example.org \udc80").problem is Status.BAD_ENCODING


def test_a_placeholder_that_somebody_wrote_is_not_taken_for_ours(redactor: Redactor) -> None:
    text = "[EMAIL_1] [LITERAL_1] [PHONE_2125550123] [EMAIL_0] [email_1] bob@example.org"
    said = redactor.redact(text)
    assert said == "[LITERAL_1] [LITERAL_2] [LITERAL_3] [EMAIL_0] [email_1] [EMAIL_1]"
    assert redactor.restore(said) == text


def test_what_nothing_is_known_of_stays(redactor: Redactor) -> None:
    assert redactor.restore("[EMAIL_7] [CARD_1] [NAME_1] [EMAIL_999999999999999999999]") == (
        "[EMAIL_7] [CARD_1] [NAME_1] [EMAIL_999999999999999999999]"
    )


def test_a_placeholder_that_the_model_made_up_gives_nothing_away(redactor: Redactor) -> None:
    redactor.redact("bob@example.org")
    words = redactor.redact("ann@example.org")
    assert redactor.restore("[EMAIL_1] [EMAIL_2]", words) == "[EMAIL_1] ann@example.org"


PIECES = st.sampled_from(
    ["a@example.org", "+1 212-555-0123", "4111111111111111", "DE89370400440532013000", "[EMAIL_1]", "[", "EMAIL_", "1]"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join))
def test_restoring_gives_the_text_back(shared: Redactor, text: str) -> None:
    said = shared.redact(text)
    assert shared.restore(said) == text
    assert shared.restore(said, said) == text
    assert "a@example.org" not in said


@settings(max_examples=50, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join))
def test_equal_texts_stay_equal(shared: Redactor, text: str) -> None:
    assert shared.redact(text) == shared.redact(text)


MOOD = {
    "name": "mood",
    "question": [
        {
            "name": "mood",
            "kind": "choice",
            "ask": "How does the writer feel?",
            "rationale": True,
            "evidence": True,
            "label": [{"name": "glad"}, {"name": "sad"}],
        }
    ],
}


def test_a_hosted_model_sees_placeholders_and_quotes_are_checked_against_the_words(redactor: Redactor) -> None:
    sent: list[str] = []

    def answer(request: Request) -> Reply:
        sent.append("".join(message.content for message in request.messages))
        quotes = ["mail [EMAIL_1]", "call [PHONE_1]", "[EMAIL_2]"]
        said = {"evidence": quotes, "rationale": "They give [EMAIL_1].", "label": "glad"}
        return Completion(request.id, json.dumps(said))

    items = [Item("1", text="mail bob@example.org"), Item("2", text="mail ann@example.org")]
    redacted = [redactor.item(item) for item in items]
    backend = ScriptedBackend(answer, forms=frozenset({Structured}))
    annotations = list(llmclf.annotate(iter(redacted), Codebook.model_validate(MOOD), backend))
    assert "[EMAIL_1]" in sent[0]
    assert not re.search(r"\w@\w", "".join(sent))
    first, second = (
        redactor.annotation(annotation, item.words) for annotation, item in zip(annotations, redacted, strict=True)
    )
    assert first.rationale == "They give bob@example.org."
    assert first.evidence == ("mail bob@example.org", "call [PHONE_1]", "[EMAIL_2]")
    assert first.misquoted == ("call [PHONE_1]", "[EMAIL_2]")
    assert second.evidence == ("mail [EMAIL_1]", "call [PHONE_1]", "ann@example.org")
    assert second.misquoted == ("mail [EMAIL_1]", "call [PHONE_1]")


CHILD = """
import sys
from llmclf.redaction import Redactor
redactor = Redactor.open(sys.argv[1])
for number in range(int(sys.argv[2])):
    print(redactor.redact(f"{sys.argv[3]}{number}@example.org"), flush=True)
"""


def child(path: Path, count: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(path), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_several_processes_share_the_placeholders(path: Path) -> None:
    children = [child(path, 30, name) for name in ("a", "b", "a")]
    said = [process.communicate(timeout=60)[0].split() for process in children]
    assert [process.returncode for process in children] == [0, 0, 0]
    assert said[0] == said[2]
    assert len({*said[0], *said[1]}) == 60


def test_a_kill_loses_no_placeholder_that_was_given(path: Path) -> None:
    process = child(path, 10**6, "a")
    assert process.stdout
    given = [process.stdout.readline().strip() for _ in range(20)]
    process.kill()
    given += process.communicate(timeout=60)[0].split("\n")[:-1]
    assert process.returncode == -signal.SIGKILL
    redactor = Redactor.open(path)
    assert [redactor.restore(one) for one in given] == [f"a{number}@example.org" for number in range(len(given))]
    redactor.close()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_file_is_its_owners_alone(path: Path, redactor: Redactor) -> None:
    redactor.redact("bob@example.org")
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_what_keeps_no_redactions_is_refused_and_left_as_it_is(path: Path, tmp_path: Path) -> None:
    path.write_text("a,b\n" * 1000)
    with pytest.raises(StoreError, match=r"cannot be used: file is not a database\. Give a path"):
        Redactor.open(path)
    assert path.read_text() == "a,b\n" * 1000
    other = tmp_path / "other.sqlite"
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE notes (text)")
    database.close()
    with pytest.raises(StoreError, match=r"keeps no redactions of this version"):
        Redactor.open(other)
    with pytest.raises(StoreError, match=r"cannot be used: No such file or directory"):
        Redactor.open(tmp_path / "nowhere" / "x.sqlite")


@pytest.mark.parametrize("package", ["phonenumbers", "pydantic_extra_types.payment"])
def test_without_the_packages_it_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=r"not installed\. Run: pip install 'llmclf\[redact\]'"):
        Redactor.open(path)
    assert not path.exists()
