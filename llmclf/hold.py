"""One process at a time: who works on a file is told to those who come later."""

import os
import time
from pathlib import Path
from typing import IO

from llmclf.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows, where nobody is held off
    fcntl = None  # type: ignore[assignment]


class Hold:
    """Keeps other processes from working on a file, until it is let go or the process ends, in whatever way.

    Raises:
        StoreError: another process has it.

    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.lock")
        self._file = self._open(path)
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        self._file.flush()

    def _open(self, path: Path) -> IO[str]:
        while True:
            try:
                file = self._path.open("a+", encoding="utf-8")
                try:
                    if self._is_ours(file):
                        return file
                except BlockingIOError:
                    file.seek(0)
                    holder = file.read() or "another process"
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
            self._path.unlink(missing_ok=True)
            self._file.close()
