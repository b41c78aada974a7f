"""Work `broken`: what a job runs on fails (disk, folder, clock, job file), and is mended again."""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evals.bulk_annotate import Folder, export_command, wrong_rows
from evals.bulk_report import Check, Finding
from evals.bulk_servers import Behaviour, Server, serving
from llmclf.backends.base import Json

_SETTINGS: Final = {"concurrency": 8}
_MOST_LOST: Final = 48
"""Requests in flight, and answers of the last tenth of a second."""
_NO_ERROR: Final = "clock jump"
_AT_LIMIT: Final = 6
_PAGE: Final = 4096
_NAMESPACE: Final = ("unshare", "--map-root-user", "--mount")
_ON_A_SMALL_DISK: Final = """\
mount -t tmpfs -o "size=$2" none "$1" || exit
disk=$1
shift 2
"$@"
code=$?
mount -o remount,size=64m "$disk"
cp -R "$disk" "$disk.kept"
exit $code
"""
"""Runs a command in a namespace of its own, where a folder is a small disk, and keeps what is on it."""
_CLOCK: Final = """\
import itertools, os, time
now, calls = time.time, itertools.count()
time.time = lambda: now() + (float(os.environ["CLOCK_JUMP"]) if next(calls) > 100 else 0)
"""


@dataclass(frozen=True)
class Bench:
    """Where one case takes place."""

    folder: Folder
    server: Server

    def command(self, *more: str) -> list[str]:
        """Give the command that annotates."""
        return self.folder.command(self.server.uri, _SETTINGS, *more)

    def begin(self) -> None:
        """Annotate half of the rows."""
        half = str(self.folder.rows // 2)
        ended = self.folder.run(self.command("--max-requests", half))
        if ended.code != _AT_LIMIT:
            raise Broken(f"begun with {ended}")

    def fails(self, command: Sequence[str], why: str, *, unasked: bool = False) -> str:
        """Run a command that cannot succeed, and give what it says: the reason, which the pattern `why` is found in."""
        before = self.server.requests()
        ended = self.folder.run(command)
        if not ended.is_clear_error:
            raise Broken(f"no clear error: {ended}")
        if not re.search(why, ended.last_line.replace(str(self.folder.path), "")):
            raise Broken(f"the error does not say why: {ended.last_line}")
        if unasked and (asked := self.server.requests() - before):
            raise Broken(f"{asked} requests all the same")
        return ended.last_line.removeprefix("llmclf: ")

    def goes_on(self) -> str:
        """Annotate the rest, and say how many requests were sent twice."""
        ended = self.folder.run(self.command())
        wrong = wrong_rows(self.folder.out, self.folder.rows)
        if ended.code or wrong:
            raise Broken(f"afterwards {ended}; {wrong} rows are wrong")
        again = self.server.requests() - self.folder.rows
        if again > _MOST_LOST:
            raise Broken(f"{again} rows asked again")
        return f"{again} asked again"


class Broken(Exception):
    """A case that does not end as it should."""


class Unmeasured(Exception):
    """A case that this machine does not allow."""


def broken(path: Path, rows: int, names: Sequence[str] = ()) -> Finding:
    """Run all cases, or those named."""
    checks: list[Check] = []
    said: dict[str, Json] = {}
    for name in names or CASES:
        with serving(Behaviour(latency=0.01)) as server:
            bench = Bench(Folder(path / re.sub(r"\W+", "-", name), rows), server)
            is_met: bool | None = True
            try:
                measured, said[name] = CASES[name](bench)
            except Unmeasured as why:
                measured, is_met = str(why), None
            except Broken as what:
                measured, is_met = str(what), False
        target = "no harm done" if name == _NO_ERROR else "a clear error, records kept"
        checks.append(Check(f"{name}: {target}", measured, is_met))
    return Finding("broken", tuple(checks), {"said": said})


def _disk_full(bench: Bench) -> tuple[str, str]:
    folder, disk = bench.folder, bench.folder.path / "disk"
    command = [part.replace(str(folder.job), str(disk / folder.job.name)) for part in bench.command()]
    said = bench.fails(_on_a_small_disk(disk, "512k", command), "full")
    for file in disk.with_name(f"{disk.name}.kept").iterdir():
        shutil.copy(file, folder.path)
    return bench.goes_on(), said


def _table_does_not_fit(bench: Bench) -> tuple[str, str]:
    disk = bench.folder.path / "disk"
    command = bench.folder.command(bench.server.uri, _SETTINGS, out=disk / "out.csv")
    said = bench.fails(_on_a_small_disk(disk, "8k", command), "[Nn]o space")
    return bench.goes_on(), said


def _on_a_small_disk(disk: Path, size: str, command: Sequence[str]) -> list[str]:
    disk.mkdir()
    probe = [*_NAMESPACE, "true"]
    if not shutil.which(probe[0]) or subprocess.run(probe, capture_output=True, check=False).returncode:  # noqa: S603 - our own
        raise Unmeasured("no namespace can be had here")
    return [*_NAMESPACE, "sh", "-c", _ON_A_SMALL_DISK, "sh", str(disk), size, *command]


def _file_too_large(bench: Bench) -> tuple[str, str]:
    said = bench.fails(["sh", "-c", 'ulimit -f 400; exec "$@"', "sh", *bench.command()], "too large|disk|full")
    return bench.goes_on(), said


def _read_only_folder(bench: Bench) -> tuple[str, str]:
    bench.begin()
    # Root may write everywhere, unless that right is dropped.
    is_root = os.geteuid() == 0
    drop = ["setpriv", "--bounding-set=-dac_override"] if is_root else []
    if drop and not shutil.which(drop[0]):
        raise Unmeasured("root's rights cannot be dropped here")
    bench.folder.path.chmod(0o555)
    try:
        said = bench.fails([*drop, *bench.command()], "[Pp]ermission denied|read-?only", unasked=True)
    finally:
        bench.folder.path.chmod(0o755)
    return bench.goes_on(), said


def _clock_jump(bench: Bench) -> tuple[str, str]:
    shim = bench.folder.path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(_CLOCK, encoding="utf-8")
    year = 365 * 86400
    for seconds, command in (
        (year, bench.command("--max-requests", str(bench.folder.rows // 2))),
        (-9 * year, bench.command()),
    ):
        ended = bench.folder.run(command, {"PYTHONPATH": str(shim), "CLOCK_JUMP": str(seconds)})
        if ended.code not in {0, _AT_LIMIT}:
            raise Broken(str(ended))
    return bench.goes_on(), ""


def _newer_version(bench: Bench) -> tuple[str, str]:
    bench.begin()
    version = _version(bench.folder.job, None)
    _version(bench.folder.job, 1000)
    said = bench.fails(bench.command(), "version", unasked=True)
    bench.fails(export_command(bench.folder.job, bench.folder.out), "version")
    _version(bench.folder.job, version)
    return bench.goes_on(), said


def _version(job: Path, new: int | None) -> int:
    with closing(sqlite3.connect(job)) as db:
        if new is not None:
            db.execute(f"PRAGMA user_version = {new}")
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def _corrupt(damage: Callable[[bytes], bytes]) -> Callable[[Bench], tuple[str, str]]:
    def case(bench: Bench) -> tuple[str, str]:
        bench.begin()
        job, why = bench.folder.job, "malformed|not a database"
        kept = job.read_bytes()
        job.write_bytes(damage(kept))
        said = bench.fails(bench.command(), why, unasked=True)
        bench.fails(export_command(job, bench.folder.out), why)
        job.write_bytes(kept)
        return bench.goes_on(), said

    return case


def _corrupt_page(bench: Bench) -> tuple[str, str]:
    """One page of a job that is done: it may be found only where it is read."""
    bench.goes_on()
    job, rows = bench.folder.job, bench.folder.rows
    kept = job.read_bytes()
    middle = len(kept) // 2 // _PAGE * _PAGE
    job.write_bytes(kept[:middle] + b"\xa5" * _PAGE + kept[middle + _PAGE :])
    ended = bench.folder.run(bench.command())
    if not ended.is_clear_error and (ended.code or wrong_rows(bench.folder.out, rows)):
        raise Broken(f"no clear error, and wrong rows: {ended}")
    job.write_bytes(kept)
    return bench.goes_on(), ended.last_line


CASES: Final[Mapping[str, Callable[[Bench], tuple[str, str]]]] = {
    "disk full": _disk_full,
    "disk full for the table": _table_does_not_fit,
    "file size limit": _file_too_large,
    "read-only folder": _read_only_folder,
    _NO_ERROR: _clock_jump,
    "newer version": _newer_version,
    "corrupt: pages": _corrupt(lambda kept: kept[:_PAGE] + b"\xa5" * (len(kept) - _PAGE)),
    "corrupt: header": _corrupt(lambda kept: b"\0" * 100 + kept[100:]),
    "corrupt: cut in half": _corrupt(lambda kept: kept[: len(kept) // 2]),
    "corrupt: one page": _corrupt_page,
}
"""Each case gives what came after it was mended, and what was said before."""
