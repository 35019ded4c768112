# Two commands: `make demo` shows the whole way in minutes, `make test` runs all that CI runs.
PYTHON ?= python3
RUN := .venv/bin
LOCK = uv pip compile --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate -q pyproject.toml

.PHONY: demo test test-slow lint format lock clean

demo: .venv/.installed
	$(RUN)/python tools/demo.py

test: .venv/.installed-dev lint
	$(RUN)/python -m pytest

test-slow: .venv/.installed-dev
	$(RUN)/python -m pytest -m slow

lint: .venv/.installed-dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/pyright

format: .venv/.installed-dev
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

.venv/.installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ecg_jax needs Python 3.11 or later: make PYTHON=python3.11")'
	test -x $(RUN)/python || $(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.txt
	$(RUN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	$(RUN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

lock:  # needs uv; the lock files name versions and hashes, no host
	$(LOCK) -o requirements.txt
	$(LOCK) --extra dev -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf .venv demo .pytest_cache .ruff_cache
