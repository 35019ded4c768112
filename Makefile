# `make demo` shows the whole way in minutes; `make test` runs everything that CI runs.
PYTHON ?= python3
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VERSION := $(call version,$(PYTHON))
# One environment for each version of Python: .venv for that of python3, .venv-3.12 after `make test PYTHON=python3.12`.
ENV := .venv$(if $(filter $(VERSION),$(call version,python3)),,-$(VERSION))
RUN := $(ENV)/bin
PIP := $(RUN)/python -m pip install --disable-pip-version-check
LOCK := uv pip compile --universal --python-version 3.11 --fork-strategy requires-python --generate-hashes --no-annotate -q pyproject.toml

.PHONY: demo test test-slow fuzz fuzz-records fuzz-others lint format lock clean

demo: $(ENV)/.installed
	$(RUN)/python tools/demo.py

test: $(ENV)/.installed-dev lint
	$(RUN)/python -m pytest

test-slow: $(ENV)/.installed-dev
	$(RUN)/python -m pytest -m slow

# Ten thousand damaged files of each kind, on two cores; prints how many and how long.
RECORDS := header or samples or table or ptb_xl or array or recording
FUZZ := $(RUN)/python -m pytest tests/test_fuzz*.py --hypothesis-profile=fuzz
fuzz: $(ENV)/.installed-dev
	$(MAKE) --no-print-directory -j 2 -O fuzz-records fuzz-others

fuzz-records:
	$(FUZZ) -k "$(RECORDS)"

fuzz-others:
	$(FUZZ) -k "not ($(RECORDS))"

lint: $(ENV)/.installed-dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/pyright --pythonpath $(RUN)/python

format: $(ENV)/.installed-dev
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

$(ENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ecg_jax needs Python 3.11 or later: make PYTHON=python3.11")'
	test -x $(RUN)/python || $(PYTHON) -m venv $(ENV)
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(ENV)/.installed-dev: $(ENV)/.installed requirements-dev.txt
	$(PIP) --require-hashes -r requirements-dev.txt
	touch $@

# Needs uv. The lock files name versions and hashes, no host, and two versions of a package where a newer one has left
# Python 3.11 behind. A version that they name stays: delete a package's lines in both files to upgrade it.
lock:
	$(LOCK) -o requirements.txt
	$(LOCK) --extra dev -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf .venv .venv-* demo .pytest_cache .ruff_cache
