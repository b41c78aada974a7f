"""A student in a file: arrays and JSON in NumPy's own format, which runs no code when it is read."""

import json
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from llmclf.errors import InputError
from llmclf.students.distillation import Student, Taught
from llmclf.students.lessons import vectorizer

_VERSION: Final = 1


def save_student(path: str | Path, student: Student) -> None:
    """Write a student; the file holds words of the texts that it has learned from, and hashes of these.

    Raises:
        InputError: the file cannot be written.

    """
    about = {
        "version": _VERSION,
        "question": student.question,
        "teacher": student.teacher,
        "codes": student.codes,
        "is_set": student.is_set,
        "strength": student.strength,
        "too_rare": dict(student.too_rare),
        "source": student.source,
        "terms": None if student.words is None else student.words.get_feature_names_out().tolist(),
    }
    taught = student.taught
    idf = np.empty(0) if student.words is None else student.words.idf_
    try:
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
                weights=student.weights,
                bias=student.bias,
                idf=idf,
                keys=taught.keys,
                given=taught.given,
                cross_fitted=taught.cross_fitted,
            )
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "Give a path in a folder that exists") from None


def load_student(path: str | Path) -> Student:
    """Read a student that `save_student` wrote.

    Raises:
        InputError: there is no such file, or it holds no student of this version.
        MissingPackage: scikit-learn is not installed.

    """
    hint = "Give a file that `llmclf distil --save` wrote"
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about: dict[str, Any] = json.loads(arrays.pop("about").tobytes())
        version = about.pop("version")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint) from None
    except (ValueError, TypeError, KeyError, EOFError, BadZipFile):
        raise InputError(f"{path} is no student", hint) from None
    if version != _VERSION:
        raise InputError(f"{path} is a student of version {version}, and this llmclf reads {_VERSION}", hint)
    terms, codes, idf = about.pop("terms"), tuple(about.pop("codes")), arrays.pop("idf")
    words = None
    if terms is not None:
        words = vectorizer(terms)
        words.idf_ = idf
    taught = Taught(*(arrays.pop(name) for name in ("keys", "given", "cross_fitted")))
    return Student(codes=codes, words=words, taught=taught, **arrays, **about)
