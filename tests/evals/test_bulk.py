import asyncio
import json
from http.client import HTTPConnection, RemoteDisconnected
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evals import bulk
from evals.bulk_annotate import Ended, Folder, wrong_rows
from evals.bulk_bare import ask_all
from evals.bulk_broken import Bench, Unmeasured, broken
from evals.bulk_faults import faults
from evals.bulk_kills import kills
from evals.bulk_rates import limited_checks, settled, slowest_rate
from evals.bulk_report import Check, Finding, table
from evals.bulk_rows import Life, checks
from evals.bulk_scripted import annotate, script
from evals.bulk_servers import FAULTS, Behaviour, Counts, Server, label, serving, text
from llmclf.backends.base import Structured
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook


def missed(finding: Finding) -> list[Check]:
    return [check for check in finding.checks if check.is_met is False]


def ask(server: Server, number: int) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"content": text(number)}]}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def said(body: bytes) -> str:
    return str(json.loads(json.loads(body)["choices"][0]["message"]["content"])["label"])


def test_a_job_that_is_killed_answers_each_row_once_and_loses_nothing(tmp_path: Path) -> None:
    finding = kills(tmp_path, 2, 120)
    assert finding.figures["kills"] == 2
    by_target = {check.target: check for check in finding.checks}
    assert by_target["every row answered once in the output"].is_met
    assert by_target["nothing acknowledged is lost"].is_met
    assert by_target["the job ends well"].is_met
    assert by_target["no more than the resumes print"].is_met


def test_rows_that_meet_a_fault_are_labelled_or_have_its_status(tmp_path: Path) -> None:
    finding = faults(tmp_path, 100, timeout=1, stall=2)
    assert [check for check in missed(finding) if "no pause" not in check.target] == []
    assert finding.figures["requests"] == 100 + len(FAULTS) - 2


@pytest.mark.parametrize("case", ["disk full", "newer version"])
def test_a_job_goes_on_when_what_failed_is_mended(tmp_path: Path, case: str) -> None:
    assert missed(broken(tmp_path, 400, [case])) == []


def test_a_case_that_goes_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def loud(bench: Bench) -> tuple[str, str]:
        return "", bench.fails(["sh", "-c", "echo Traceback >&2; exit 1"], "")

    def vague(bench: Bench) -> tuple[str, str]:
        return "", bench.fails(["sh", "-c", f"echo llmclf: {bench.folder.job} fails >&2; exit 2"], "full")

    def impossible(_: Bench) -> tuple[str, str]:
        raise Unmeasured("not here")

    monkeypatch.setattr("evals.bulk_broken.CASES", {"disk full": vague, "loud": loud, "impossible": impossible})
    finding = broken(tmp_path, 1)
    assert [check.verdict for check in finding.checks] == ["not met", "not met", "-"]
    assert finding.checks[0].measured.startswith("the error does not say why")
    assert finding.checks[1].measured == "no clear error: exit code 1: Traceback"


def test_the_server_counts_what_it_is_asked() -> None:
    with serving(Behaviour()) as server:
        assert [said(ask(server, number)[1]) for number in (3, 4, 4)] == [label(3), label(4), label(4)]
        counts = server.counts()
        assert (server.requests(), counts.requests, counts.asked) == (3, 3, {3: 1, 4: 2})
        assert (len(counts.first_asked), len(counts.answered)) == (2, 3)
        assert counts.asked_again == counts.answered[1:2]


def test_the_server_refuses_what_is_too_fast() -> None:
    with serving(Behaviour(allowed=2)) as server:
        codes = [ask(server, number)[0] for number in range(4)]
        assert codes[:2] == [200, 200]
        assert 429 in codes[2:]
        assert server.counts().refused == codes.count(429)
        assert server.requests() == codes.count(200)


def test_the_server_fails_on_purpose() -> None:
    first: dict[str, object] = {}
    with serving(Behaviour(faulty=True, stall=0.01)) as server:
        for number, fault in enumerate(FAULTS):
            try:
                first[fault] = ask(server, number)
            except RemoteDisconnected:
                first[fault] = "dropped"
        again = {fault: ask(server, number)[1] for number, fault in enumerate(FAULTS)}
        assert said(ask(server, len(FAULTS))[1]) == label(len(FAULTS))
    assert first["dropped"] == "dropped"
    codes = {fault: one[0] for fault, one in first.items() if isinstance(one, tuple)}
    assert codes == dict.fromkeys(codes, 200) | {"500": 500}
    bodies = {fault: one[1] for fault, one in first.items() if isinstance(one, tuple)}
    assert bodies["html"].startswith(b"<html>")
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        json.loads(bodies["truncated"])
    for held in (bodies, again):
        assert json.loads(held["refusal"])["choices"][0]["message"]["refusal"]
        assert json.loads(held["cut"])["choices"][0]["finish_reason"] == "length"
    assert {said(again[fault]) for fault in ("500", "dropped", "truncated", "html", "stall")} <= {*map(label, range(3))}


def test_the_bare_loop_asks_about_each_row_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 20)
    with serving(Behaviour()) as server:
        labels = asyncio.run(ask_all(server.address, Codebook.load(folder.codebook), 4, 20))
        assert server.counts().asked == dict.fromkeys(range(20), 1)
    assert sorted(labels) == sorted(map(label, range(20)))


def test_the_scripted_job_writes_what_the_servers_would_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(tmp_path, 2000)
    backend = ScriptedBackend(script(), forms=frozenset({Structured}))
    annotate(folder.table, folder.codebook, folder.job, folder.out, backend)
    assert wrong_rows(folder.out, 2000) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["event"], one["asked"]) for one in told] == [("first", 0), ("asked", 1000), ("asked", 2000)]


def test_rows_that_are_missing_repeated_or_otherwise_labelled_are_wrong(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    right = [f"{number},{label(number)},ok\n" for number in range(3)]

    def wrong(*lines: str) -> int:
        out.write_text("".join(("item,label,status\n", *lines)))
        return wrong_rows(out, 3)

    assert wrong(*right) == 0
    assert wrong(*right[:2]) == 1
    assert wrong(*right, right[2]) == 1
    assert wrong(*right[:2], "2,,failed\n") == 1
    assert wrong_rows(tmp_path / "none.csv", 3) == 3


def test_how_a_process_ended_is_read_from_what_it_said() -> None:
    line = "llmclf: 12 requests were sent before the last stop and have no answer on record\n"
    assert Ended(0, f"{line}annotating 10/10, 5.0/s\n").lost == 12
    assert Ended(0, "annotating 10/10, 5.0/s\n").lost == 0
    assert Ended(2, "llmclf: the record cannot be used\n").is_clear_error
    assert not Ended(1, "Traceback (most recent call last):\nOSError: no space left\n").is_clear_error
    assert not Ended(2, "").is_clear_error


def test_a_rate_is_settled_from_the_first_second_that_holds_it() -> None:
    slow = [second + place / 10 for second in range(5) for place in range(10)]
    fast = [second + place / 50 for second in range(5, 60) for place in range(50)]
    assert settled(slow + fast, 60, 48) == (3, (20 + 55 * 50) / 57)
    assert settled(slow + fast, 60, 60)[0] == 30, "never: judged by the second half"
    assert slowest_rate(fast, 60) == pytest.approx(50, rel=0.01)
    assert slowest_rate(slow + fast, 60) == pytest.approx(30, rel=0.01)


def test_a_limited_job_with_a_failed_row_misses_its_target() -> None:
    times = [at / 50 for at in range(1000)]
    counts = Counts(refused=7, first_asked=times, answered=times)
    verdicts = [check.verdict for check in limited_checks(counts, Ended(3, ""), 1)]
    assert verdicts == ["met", "not met", "-"]


def test_rows_are_judged_by_the_whole_time_and_the_larger_process() -> None:
    killed = Life(first=2, last=30, end=30, asked=900_000, cpu=20, peak=280_000_000, code=-9)
    resumed = Life(first=4, last=10, end=15, asked=100_000, cpu=20, peak=310_000_000, code=0)
    verdicts = {check.target[:4]: check.is_met for check in checks(1_000_000, killed, resumed, 0)}
    assert verdicts == {"1,00": True, "peak": False, "at l": True, "kill": True}
    slow = Life(first=6, last=10, end=30, asked=100_000, cpu=20, peak=200_000_000, code=0)
    verdicts = {check.target[:4]: check.is_met for check in checks(1_000_000, killed, slow, 2)}
    assert verdicts == {"1,00": False, "peak": True, "at l": False, "kill": False}


def test_the_table_fits_a_terminal() -> None:
    long = Check("corrupt: cut in half: a clear error, and much more to be said", "an error " * 12, is_met=False)
    console = Console(width=80, record=True, file=StringIO())
    console.print(table([Finding("limited", (Check("short", "1", is_met=None), long)), Finding("kills", (long,))]))
    shown = console.export_text()
    assert "…" not in shown
    assert "not met" in shown
    assert [line.split()[0] for line in shown.splitlines()[1:] if line[:1].strip()] == ["limited", "kills"]


def test_the_works_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(bulk.WORKS) == set(bulk.QUICK)
    with pytest.raises(SystemExit):
        bulk.main(["--works", "kills,rwos"])
    assert "rwos: known are kills, rows" in capsys.readouterr().err
