# Needs git, make and Python >= 3.10 with venv; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Tests are the same in every run, the order of sets of texts, too. They run side by side,
# where threads of BLAS would only wait for each other: one halves the time of the processor.
PYTEST := PYTHONHASHSEED=0 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest

# A worker that has done its tests takes over some of another
SIDE_BY_SIDE := -n auto --dist worksteal
SCHEMA := $(BIN)/check-jsonschema --quiet --builtin-schema

.PHONY: demo lint test coverage quality search soak benchmarks-smoke notebooks docs epub versions release-check clean

# Decompose a simulated map and compare the result with the truth
demo: .venv/installed
	$(BIN)/espm-hs demo

# Style, layers and types, and the files that services read; no network is needed
lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	$(SCHEMA) custom.github-workflows-require-timeout .github/workflows/*.yml
	$(SCHEMA) vendor.dependabot .github/dependabot.yml
	$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug_report.yml .github/ISSUE_TEMPLATE/wish.yml
	$(SCHEMA) vendor.readthedocs .readthedocs.yaml
	$(SCHEMA) vendor.citation-file-format CITATION.cff
	$(BIN)/jactionlint --profile correctness --shellcheck= --pyflakes=
	$(BIN)/zizmor --offline --no-progress --quiet .github
	$(BIN)/towncrier build --draft --version next >/dev/null

# All of that, and the tests
test: lint
	$(PYTEST) $(SIDE_BY_SIDE)

# Branches that the tests reach, in compiled code, too: the tests marked `kernels` run once
# more without compilation
coverage: .venv/installed-dev
	rm -f .coverage*
	$(PYTEST) $(SIDE_BY_SIDE) --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(PYTEST) -n auto -m 'kernels and not slow' --cov --cov-append --cov-report=
	$(BIN)/coverage report

# What is worth watching beside tests, into build/quality; coverage if it was counted
quality: .venv/installed-dev
	mkdir -p build/quality
	test ! -e .coverage || $(BIN)/coverage json -q -o build/quality/coverage.json
	$(BIN)/python benchmarks/robustness/quality.py --json build/quality/quality.json
	$(BIN)/python benchmarks/runner.py >build/quality/benchmarks.txt

# The same tests with other random examples, over and over, for an hour: each round has a
# seed, and what fails is kept in build/search
search: .venv/installed-dev
	$(BIN)/python benchmarks/robustness/search.py --minutes $${ESPM_HS_SEARCH_MINUTES:-60}

# An hour of random problems; ESPM_HS_SOAK_MINUTES=5 make soak takes less
soak: .venv/installed-dev
	$(BIN)/python -m pytest -m slow tests/whole/test_soak.py

# Every benchmark on next to nothing, in seconds each: whether its script still works
benchmarks-smoke: .venv/installed-dev
	$(BIN)/python benchmarks/runner.py

# Run the notebooks from top to bottom; the copies that are kept hold no output
notebooks: .venv/installed-dev
	$(BIN)/jupyter nbconvert --to notebook --execute --output-dir build/notebooks notebooks/*.ipynb

# The pages of docs/ with the reference; a warning is an error. Figures of notebooks
# that `make notebooks` has run are in them.
docs: .venv/installed-dev
	$(BIN)/python -W ignore -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

# The same in one file, to read without a network
epub: .venv/installed-dev
	$(BIN)/python -W ignore -m sphinx -q -W --keep-going -b epub -d build/epub-doctrees docs build/epub
	@echo "build/epub/espm_hs.epub"

# Tests of the built package in all versions, and the table of them in docs/trust.md
versions: .venv/installed-dev
	$(BIN)/nox
	$(BIN)/python benchmarks/robustness/versions.py --write docs/trust.md

# What a release has to pass: see tools/release.py
release-check: lint
	$(BIN)/python tools/release.py

clean:
	rm -rf .venv build dist demo docs/notebooks docs/gallery docs/api/generated .pytest_cache .ruff_cache .import_linter_cache .mypy_cache .hypothesis .nox .coverage*
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
