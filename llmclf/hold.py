"""One process at a time: who works on a file is told to those who come later, and what it had sent."""

import mmap
import os
import re
import time
from pathlib import Path
from typing import IO

from llmclf.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows, where nobody is held off
    fcntl = None  # type: ignore[assignment]

_DIGITS = 19
_COUNT = f"%0{_DIGITS}d".encode()


class Hold:
    """Keeps other processes from working on a file, until it is let go or the process ends, in whatever way.

    Beside the file it counts what the process sends. The count outlives a killed process, if not a power cut: it is
    written and not forced to disk.

    Raises:
        StoreError: another process has it.

    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.lock")
        self._file = self._open(path)
        self._text: mmap.mmap | None = None
        self._file.seek(0)
        left = re.match(r"(\d+) sent", self._file.read())
        self.left = int(left[1]) if left else 0
        """What was sent by a process that held it and could not let it go."""
        self.sent = 0
        """What was sent since it began."""

    def begin(self) -> None:
        """Say who holds it, and count from 0."""
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        text = f"{0:0{_DIGITS}d} sent by process {os.getpid()} since {since}"
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()
        self._text = mmap.mmap(self._file.fileno(), len(text))

    def count_sent(self) -> None:
        """Count one more that is sent."""
        assert self._text, "it has begun"
        self.sent += 1
        self._text[:_DIGITS] = _COUNT % self.sent

    def _open(self, path: Path) -> IO[str]:
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
                file = os.fdopen(descriptor, "r+", encoding="utf-8")
                try:
                    if self._is_ours(file):
                        return file
                except BlockingIOError:
                    holder = file.read().partition(" sent by ")[2] or "another process"
                    file.close()
                    raise StoreError(f"{holder} works on {path}", "Wait for its end, or give another --job") from None
                file.close()
            except OSError as error:
                raise StoreError(
                    f"the record {path} cannot be used: {error.strerror}", "Give a path that can be read and written"
                ) from None

    def _is_ours(self, file: IO[str]) -> bool:
        """Lock a file, and say whether it is still the one at the path: who had it takes it away at the end."""
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            return self._path.stat().st_ino == os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go."""
        if not self._file.closed:
            if self._text:
                self._text.close()
            self._path.unlink(missing_ok=True)
            self._file.close()
