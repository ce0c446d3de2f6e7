# `make repro` and `make test` need Python >= 3.11, git and make; nothing has to be installed before.

PYTHON ?= python3
N ?= 1000
MINUTES ?= 60
SEED ?= 0
FUZZ_SECONDS ?= 300
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help repro test test-fast docs soak fuzz mutants bench audit check format lock clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/'

repro: .venv/ready  ## run the whole pipeline on the demo corpus, or on the one that params.yaml names
	dvc repro
	@cat metrics/test.json
	@echo "curves: plots/learning_curves.png   confusion matrix: plots/confusion.png"

# Not more than four at a time: each process makes a finished clone of its own for its tests.
test: .venv/ready  ## run all tests, with coverage
	pytest --cov --numprocesses auto --maxprocesses 4 --dist worksteal

test-fast: .venv/ready  ## run the tests that start no DVC and need no real recordings
	pytest -m "not pipeline and not real"

docs: .venv/ready  ## write the generated pages anew and build the site into .timbre/site
	python -m docs.parameters
	python -m docs.pipeline
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

soak: .venv/ready  ## disturb a thousand runs in an hour at most, then fuzz; N=, MINUTES=, SEED= set others
	python -m soak --count $(N) --minutes $(MINUTES) --seed $(SEED)
	$(MAKE) fuzz

fuzz: .venv/ready  ## give the readers of files hostile bytes, for FUZZ_SECONDS in all (300)
	@python -c 'import atheris' 2>/dev/null || python -m pip install --quiet 'atheris>=3.0'
	python -m fuzz $(FUZZ_SECONDS)

mutants: .venv/ready  ## change the core modules in small ways and see whether their tests notice
	@python -c 'import mutmut' 2>/dev/null || python -m pip install --quiet 'mutmut>=3.8'
	sh .ci/mutants

bench: .venv/ready  ## measure Timbre side by side with other ways, into bench/results.json
	python -m bench

audit:  ## look the locked versions up among known vulnerabilities, on the internet
	$(PYTHON) -m venv .timbre/audit
	.timbre/audit/bin/python -m pip install --quiet pip-audit
	.timbre/audit/bin/pip-audit --strict --no-deps --disable-pip -r requirements.lock

check: .venv/ready  ## lint, formatting, types
	ruff check .
	ruff format --check .
	mypy

format: .venv/ready  ## mend what ruff can mend
	ruff check --fix .
	ruff format .

lock: .venv/ready  ## write requirements.lock anew from pyproject.toml
	sh .ci/lock

clean:  ## remove the environment and all that tools left behind
	rm -rf .venv .timbre .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than 3.11: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -r requirements.lock
	@touch $@
