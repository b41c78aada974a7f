import json
import logging
import sys
from pathlib import Path

import pytest

from llmclf.backends.base import Likelihoods, Message, Request, Scores
from llmclf.backends.cache import file_hash, keep
from llmclf.backends.layouts import CANDIDATES, LAYOUTS, Measured, best, weights
from llmclf.backends.local import LocalBackend
from llmclf.errors import BackendError, InputError

from .tiny_models import sliding_window


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "llmclf"


def measured(**noises: tuple[float, float]) -> dict[str, Measured]:
    return {layout.replace("_repacked", "-repacked"): Measured(*figures) for layout, figures in noises.items()}


def test_the_fastest_that_is_no_noisier_than_as_shipped_wins() -> None:
    figures = measured(shipped=(100, 0.1), Q8_0=(900, 0.2), F16=(300, 0.0), BF16=(500, 0.02))
    assert best(figures) == "BF16"
    assert best(figures | {"BF16": Measured(500, 0.02, flips=1)}) == "F16"
    assert best(figures | {"BF16": Measured(problem="crashed")}) == "F16"
    assert best(measured(shipped=(400, 0.1), F16=(300, 0.0))) == "shipped"


def test_layouts_are_measured_once_kept_and_said_in_a_line(
    tmp_path: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = sliding_window(tmp_path / "tiny.gguf")
    with caplog.at_level(logging.INFO, logger="llmclf"):
        first = weights(model, None)
    assert set(first.measured) == set(CANDIDATES)
    assert first.measured["shipped"].tokens_per_second > 0
    assert sum("tokens/s (as shipped" in record.getMessage() for record in caplog.records) == 1
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="llmclf"):
        assert weights(model, None) == first
    assert not caplog.records
    assert first.path == model or first.path.parent == own_cache


@pytest.mark.usefixtures("own_cache")
def test_the_measured_figures_are_the_backends(tmp_path: Path) -> None:
    model = sliding_window(tmp_path / "tiny.gguf")
    backend = LocalBackend(model)
    assert backend.identity.model["layout"] in LAYOUTS
    assert backend.resolved["layout"] == backend.identity.model["layout"]
    assert json.loads(json.dumps(backend.measured))["F16"]["noise"] == 0
    backend.close()


def test_a_layout_is_rewritten_once_and_the_file_as_shipped_is_left_alone(gguf: Path, cache_folder: Path) -> None:
    before = gguf.stat()
    one = weights(gguf, "F16")
    written = one.path.stat()
    assert one.path.parent == cache_folder
    assert weights(gguf, "F16").path.stat().st_ctime_ns >= written.st_ctime_ns
    assert weights(gguf, "F16").path.stat().st_ino == written.st_ino
    assert (gguf.stat().st_mtime_ns, gguf.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert one.sha256 == file_hash(gguf)


def test_unknown_layouts_are_refused(gguf: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'Q8_0'"):
        LocalBackend(gguf, layout="q8_0")
    with pytest.raises(InputError, match="reproducible scores are in F16"):
        LocalBackend(gguf, layout="BF16", reproducible=True)


def test_the_cache_is_kept_below_its_size(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache.mkdir(parents=True)
    files = [own_cache / f"{number}.gguf" for number in range(3)]
    for file in files:
        file.write_bytes(b"x" * 1000)
    monkeypatch.setenv("LLMCLF_CACHE_GB", "0.000002")
    keep(files[0])
    assert [file.exists() for file in files] == [True, False, True]
    monkeypatch.setenv("LLMCLF_CACHE_GB", "much")
    with pytest.raises(InputError, match="Give a number of gigabytes"):
        keep(files[0])


@pytest.mark.usefixtures("own_cache")
def test_a_model_too_large_for_the_cache_is_used_as_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLF_CACHE_GB", "0")
    chosen = weights(sliding_window(tmp_path / "tiny.gguf"), None)
    assert (chosen.layout, chosen.path.name) == ("shipped", "tiny.gguf")
    assert "the cache may hold" in chosen.measured["F16"].problem


@pytest.mark.usefixtures("own_cache")
def test_a_layout_on_which_this_build_crashes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    crash = 'case "$4" in *repacked) kill -SEGV $$;; esac'
    python.write_text(f'#!/bin/sh\n{crash}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    model = sliding_window(tmp_path / "tiny.gguf")
    chosen = weights(model, None)
    assert "crashed" in chosen.measured["Q8_0-repacked"].problem
    assert not chosen.repacked
    with pytest.raises(BackendError, match=r"Q8_0-repacked does not work here: .*crashed"):
        weights(model, "Q8_0-repacked")


def test_a_file_that_changes_has_another_hash(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    first = file_hash(file)
    assert file_hash(file) == first
    file.write_bytes(b"three")
    assert file_hash(file) != first


def test_scores_in_bf16_are_near_those_in_f16(gguf: Path) -> None:
    asked = [
        Request(number, (Message("user", ("About?\n", text)),), Likelihoods(("sport", "business", "weather")))
        for number, text in enumerate(["The team won.", "Shares fell.", "It rained."])
    ]
    exact, near = (LocalBackend(gguf, layout=layout, context=512) for layout in ("F16", "BF16"))
    for one, other in zip(exact.answer(asked), near.answer(asked), strict=True):
        assert isinstance(one, Scores)
        assert isinstance(other, Scores)
        assert other.log_likelihoods == pytest.approx(one.log_likelihoods, abs=0.15)
