import pytest

from llmclf.backends.base import Completion, Failure, Reply, Scores
from llmclf.served import change, count_served
from llmclf.status import Status

DAY = 86400.0


def said(model: str, fingerprint: str) -> Reply:
    return Completion(0, "{}", model, fingerprint)


def test_each_model_and_fingerprint_is_counted_from_its_first_to_its_last_answer() -> None:
    found = count_served([
        (said("m-2", "fp_1"), 3 * DAY),
        (said("m-1", "fp_1"), 2 * DAY),
        (Scores(0, {}, {}, served_model="m-1", fingerprint="fp_1"), 0.0),
        (Failure(0, Status.REFUSED, "", served_model="m-2", fingerprint="fp_1"), 4 * DAY),
    ])  # fmt: skip
    assert [(one.model, one.fingerprint, one.answers) for one in found] == [("m-1", "fp_1", 2), ("m-2", "fp_1", 2)]
    assert [(one.first.day, one.last.day) for one in found] == [(1, 3), (4, 5)]
    assert change(found) == (
        "the model changed within the job: m-1 (fp_1), 2 answers, 1970-01-01 00:00 to 1970-01-03 00:00; "
        "m-2 (fp_1), 2 answers, 1970-01-04 00:00 to 1970-01-05 00:00"
    )


@pytest.mark.parametrize(("one", "other"), [(("m", "fp_1"), ("m", "fp_2")), (("m", "fp_1"), ("m", ""))])
def test_a_fingerprint_alone_is_a_change(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert "the model changed" in change(count_served([(said(*one), 0.0), (said(*other), 1.0)]))


def test_replies_that_do_not_say_who_gave_them_are_no_change() -> None:
    timeout = Failure(0, Status.TIMEOUT, "", retryable=True)
    found = count_served([(said("m", ""), 0.0), (timeout, 1.0), (Scores(0, {}, {}), 2.0)])
    assert [one.answers for one in found] == [1]
    assert not change(found)
    assert not change([])
