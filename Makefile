# Needs git, make and Python >= 3.10 with venv; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test coverage soak notebooks docs versions clean

# Decompose a simulated map and compare the result with the truth
demo: .venv/installed
	$(BIN)/espm-hs demo

# Style, layers and tests
test: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist loadfile

# Branches that the tests reach, in compiled code, too: the tests marked `kernels` run once
# more without compilation
coverage: .venv/installed-dev
	rm -f .coverage*
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n auto -m 'kernels and not slow' --cov --cov-append --cov-report=
	$(BIN)/coverage report

# An hour of random problems; ESPM_HS_SOAK_MINUTES=5 make soak takes less
soak: .venv/installed-dev
	$(BIN)/python -m pytest -m slow tests/test_soak.py

# Run the notebooks from top to bottom; the copies that are kept hold no output
notebooks: .venv/installed-dev
	$(BIN)/jupyter nbconvert --to notebook --execute --output-dir build/notebooks notebooks/*.ipynb

# The pages of docs/ with the reference; a warning is an error. Figures of notebooks
# that `make notebooks` has run are in them.
docs: .venv/installed-dev
	$(BIN)/python -W ignore -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

# Tests of the built package in all versions, and the table of them in docs/trust.md
versions: .venv/installed-dev
	$(BIN)/nox
	$(BIN)/python benchmarks/versions.py --write docs/trust.md

clean:
	rm -rf .venv build dist demo docs/notebooks docs/api/generated .pytest_cache .ruff_cache .import_linter_cache .hypothesis .nox .coverage*
	find espm_hs tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: installed again only when pyproject.toml has changed
.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(PIP) install -e .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(PIP) install -e ".[dev]"
	touch $@
	touch .venv/installed
