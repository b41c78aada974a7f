"""Everything that llmclf raises on purpose.

LlmclfError
├── InputError              what the user gave is wrong: a file, a column, a label, an option
│   ├── CodebookError       a codebook that does not say what it must
│   ├── PromptError         a prompt template that does not render
│   ├── TableError          a table, its columns, its rows
│   ├── ScaleError          labels and scale do not fit each other
│   └── MissingPackage      an optional package is not installed
├── BackendError            nothing more can be answered
│   ├── ModelFileError      a model file that is missing or cannot be loaded
│   ├── ServerUnreachable   nobody answers at the address (a later retry can help)
│   └── ServerRefused       the server answers, and will not serve: key, model name, quota
├── StoreError              the record file cannot be read or written
├── Inconclusive            the data do not allow what was asked to be claimed
└── LimitReached            as many requests were asked as may be

One request that fails is not an exception: it is a `Failure`, with a `Status`.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class LlmclfError(Exception):
    """An error with one line for the person, and a hint that says what to do."""

    exit_code: ClassVar[int] = 2
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class InputError(LlmclfError):
    """What the user gave is wrong."""


class CodebookError(InputError):
    """A codebook that does not say what it must."""


class PromptError(InputError):
    """A prompt template that does not render."""


class TableError(InputError):
    """A table that cannot be read: its file, its columns or its rows."""


class ScaleError(InputError):
    """Labels and scale do not fit each other."""


class MissingPackage(InputError):
    """An optional package is not installed; the hint is the command that installs it."""


class BackendError(LlmclfError):
    """Nothing more can be answered by this backend."""


class ModelFileError(BackendError):
    """A model file that is missing or cannot be loaded."""


class ServerUnreachable(BackendError):
    """Nobody answers at the server's address."""

    retryable = True


class ServerRefused(BackendError):
    """The server answers and will not serve: wrong key, unknown model, no quota."""


class StoreError(LlmclfError):
    """The record file cannot be read or written."""


class Inconclusive(LlmclfError):
    """The data do not allow what was asked to be claimed."""

    exit_code = 4


class LimitReached(LlmclfError):
    """As many requests were asked as may be; what was answered is kept."""

    exit_code = 6


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, which is nearest, and which are known."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {what} {name!r}: {guess}known are {', '.join(map(repr, names)) or 'none'}"
