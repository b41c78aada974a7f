import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmclf.annotations import Annotation, Kind, read_annotations, write_parts
from llmclf.codebook import Codebook
from llmclf.errors import BackendError, InputError, StoreError
from llmclf.items import ItemTable
from llmclf.job import Job
from llmclf.job_file import JobFile
from llmclf.micro_batches import Annotator, Assignment, Done, MicroBatch, begin, micro_batches, take_in
from llmclf.plan import Plan
from llmclf.records import Records
from llmclf.store import Store

BOOK = """
name = "mood"
[[question]]
name = "mood"
kind = "choice"
evidence = true
ask = "How does the writer feel?"
[[question.label]]
name = "glad"
[[question.label]]
name = "sad"
"""
ROWS = 70
TEXTS = ["" if n == 40 else f"Sentence {n}, {'an unreadable' if n % 9 == 5 else 'a plain'} one." for n in range(ROWS)]
SIZE = 20


class Server:
    """Quotes the text; what it says of every ninth cannot be read at first. Counts requests by text."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.asked: Counter[str] = Counter()
        self.most: int | None = None
        httpserver.expect_request("/v1/chat/completions").respond_with_handler(self.answer)
        self.uri = f"{httpserver.url_for('/v1')}#m"

    def answer(self, received: Request) -> Response:
        messages = received.get_json()["messages"]
        text = next(text for text in TEXTS if text and text in str(messages))
        if self.most == self.asked.total():
            return Response('{"error": {"message": "no such key"}}', status=401, content_type="application/json")
        self.asked[text] += 1
        is_unreadable = "unreadable" in text and len(messages) < 3
        said = "well" if is_unreadable else json.dumps({"evidence": [text[:10], "no"], "label": "glad"})
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        return Response(json.dumps(body), content_type="application/json")


@pytest.fixture
def server(httpserver: HTTPServer) -> Server:
    return Server(httpserver)


@pytest.fixture
def assignment(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Assignment:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMCLF_API_KEY", "")
    Path("mood.toml").write_text(BOOK)
    Path("in.csv").write_text("\n".join(["id,text", *(f'{n},"{text}"' for n, text in enumerate(TEXTS))]))
    Path("parts").mkdir()
    settings = {"concurrency": 1}
    table = ItemTable("in.csv")
    book = Codebook.load("mood.toml")
    return Assignment(str(tmp_path), "job.sqlite", book, server.uri, settings, True, {}, table, None)


def begun(assignment: Assignment) -> tuple[Store, Plan, list[MicroBatch]]:
    number, _, _ = begin(assignment, None, ROWS)
    store = Store(assignment.path)
    last = store.last_row(number)
    assert last
    return store, JobFile(store).plans[number], micro_batches(assignment.table, last, SIZE, Path("parts"), number)


def annotate_all(assignment: Assignment) -> list[Done]:
    store, plan, batches = begun(assignment)
    annotator = Annotator(assignment, plan)
    try:
        done = [annotator.annotate(batch) for batch in batches]
        for batch in batches:
            take_in(store, Path(batch.record), 1, batch.first)
    finally:
        annotator.close()
        store.close()
    return done


def test_the_first_items_and_the_micro_batches_are_the_table(assignment: Assignment) -> None:
    store, _, batches = begun(assignment)
    store.close()
    assert [(batch.first, batch.count) for batch in batches] == [(32, 8), (40, 20), (60, 10)]
    places = [item.place for item in assignment.table.items()]
    assert [batch.place for batch in batches] == [places[batch.first] for batch in batches]


def test_what_is_taken_in_is_as_if_an_ordinary_job_had_asked(assignment: Assignment, server: Server) -> None:
    done = annotate_all(assignment)
    assert sum(one.count for one in done) == ROWS - 32
    assert not any(Path("parts").iterdir())
    asked = server.asked.total()
    job = Job("ordinary.sqlite", assignment.codebook, server.uri, {"concurrency": 1})
    for _ in job.run_table(assignment.table, count=ROWS):
        pass
    job.close()
    assert server.asked.total() == 2 * asked
    with Records("job.sqlite") as ours, Records("ordinary.sqlite") as theirs:
        mine, other = JobFile(ours), JobFile(theirs)
        assert list(mine.annotations(1)) == list(other.annotations(1))
        assert mine.progress(1) == other.progress(1)
        assert mine.spent(1) == other.spent(1)
        # with the replies that could not be read, which no row names
        said = [Counter((one.request.messages, one.reply.text) for one in file.records()) for file in (ours, theirs)]
        assert said[0] == said[1]
        assert said[0].total() == asked


def test_an_ordinary_job_goes_on_with_it_and_asks_nothing(assignment: Assignment, server: Server) -> None:
    annotate_all(assignment)
    asked = server.asked.total()
    job = Job("job.sqlite", assignment.codebook, server.uri)
    for _ in job.run_table(assignment.table, count=ROWS):
        pass
    job.close()
    assert (job.kept, server.asked.total()) == (ROWS, asked)


def test_micro_batches_go_on_where_an_ordinary_job_was_left(assignment: Assignment, server: Server) -> None:
    server.most = 50
    job = Job("job.sqlite", assignment.codebook, server.uri, {"concurrency": 1})
    with pytest.raises(BackendError):
        for _ in job.run_table(assignment.table, count=ROWS):
            pass
    job.close()
    server.most = None
    done = annotate_all(assignment)
    assert done[0].first not in (32, 40)
    assert max(server.asked[text] - ("unreadable" in text) for text in TEXTS) == 1


def test_a_micro_batch_that_is_begun_again_asks_only_what_is_not_on_its_record(
    assignment: Assignment, server: Server
) -> None:
    store, plan, batches = begun(assignment)
    server.most = server.asked.total() + 10
    annotator = Annotator(assignment, plan)
    with pytest.raises(BackendError, match="key"):
        annotator.annotate(batches[1])
    annotator.close()
    server.most = None
    annotator = Annotator(assignment, plan)
    done = annotator.annotate(batches[1])
    annotator.close()
    store.close()
    assert done.attempts == 2
    assert (done.asked + done.found, done.found) == (19 + 3, 10)  # a text is empty, and three are asked about twice
    assert max(server.asked[text] - ("unreadable" in text) for text in TEXTS) == 1


def test_micro_batches_keep_their_records_however_often_a_job_goes_on(assignment: Assignment) -> None:
    store, plan, batches = begun(assignment)
    annotator = Annotator(assignment, plan)
    annotator.annotate(batches[0])
    annotator.close()
    take_in(store, Path(batches[0].record), 1, batches[0].first)
    store.close()
    store, _, again = begun(assignment)
    store.close()
    assert again == batches[1:]


def test_unfinished_micro_batches_of_another_size_are_not_left_behind(assignment: Assignment) -> None:
    store, plan, batches = begun(assignment)
    store.close()
    annotator = Annotator(assignment, plan)
    annotator.annotate(batches[0])
    annotator.close()
    with pytest.raises(StoreError, match=f"Give --setting micro_batch={SIZE}"):
        micro_batches(assignment.table, (31, 0), SIZE + 1, Path("parts"), 1)


def test_replies_that_no_row_needs_are_kept_too(assignment: Assignment, server: Server) -> None:
    store, plan, batches = begun(assignment)
    annotator = Annotator(assignment, plan)
    annotator.annotate(batches[0])
    annotator.close()
    take_in(store, Path(batches[0].record))
    last = store.last_row(1)
    count = sum(1 for _ in store.records())
    store.close()
    assert last
    assert last[0] == 31
    assert count == server.asked.total()


def test_a_record_that_was_only_just_made_holds_nothing(assignment: Assignment) -> None:
    store, _, _ = begun(assignment)
    Path("parts/empty.sqlite").touch()
    take_in(store, Path("parts/empty.sqlite"))
    store.close()
    assert not any(Path("parts").iterdir())


def test_processes_that_end_again_and_again_are_a_fault_and_not_for_ever(assignment: Assignment) -> None:
    store, plan, batches = begun(assignment)
    Path(f"{batches[0].record}.attempts").write_text("....")
    annotator = Annotator(assignment, plan)
    with pytest.raises(BackendError, match="4 actors were ended while they asked about items 32 and following"):
        annotator.annotate(batches[0])
    annotator.close()
    store.close()
    begun(assignment)[0].close()
    assert not any(Path("parts").iterdir())  # the next run counts anew


def test_an_actor_with_another_model_or_prompt_does_not_begin(assignment: Assignment) -> None:
    store, plan, _ = begun(assignment)
    store.close()
    with pytest.raises(InputError, match="another model"):
        Annotator(replace(assignment, uri=assignment.uri + "2"), plan)
    Path("prompt.jinja").write_text("{% block user %}{{ item.text }}{% endblock %}")
    with pytest.raises(InputError, match=r"another prompt\.jinja"):
        Annotator(assignment, plan)


def test_an_actor_without_the_folder_says_so(assignment: Assignment) -> None:
    with pytest.raises(InputError, match=r"nowhere: No such file.*all machines of the cluster share"):
        begin(replace(assignment, folder="nowhere"), None, ROWS)


def test_keys_reach_the_backend_and_neither_a_file_nor_a_message(assignment: Assignment) -> None:
    keyed = replace(assignment, keys={"LLMCLF_API_KEY": "sk-secret-words"})
    annotate_all(keyed)
    assert "secret" not in repr(keyed)
    assert not any(b"secret" in path.read_bytes() for path in Path().rglob("*") if path.is_file())


def test_parts_are_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    rows = [Annotation(str(n), "q", "m", Kind.MODEL, "a") for n in range(25)]
    write_parts(tmp_path / "out", rows, rows=5)
    assert len(list((tmp_path / "out").iterdir())) == 5
    write_parts(tmp_path / "out", rows, rows=10)
    parts = sorted((tmp_path / "out").iterdir())
    assert [part.name for part in parts] == [f"part-00000{n}.parquet" for n in range(3)]
    assert [len(pl.read_parquet(part)) for part in parts] == [10, 10, 5]
    assert [row for part in parts for _, row in read_annotations(part)] == rows
    assert pl.read_parquet(tmp_path / "out" / "*.parquet")["item"].to_list() == [row.item for row in rows]
