# Everything here works from a fresh clone: each target first gets what it needs.
#   make check   the gate for every commit: style, types, architecture, unit tests; needs no root and no packages
#   make test    everything, with real guests where the machine can: as root on Debian it also installs the packages
#   make demo    shows a VM's whole life; KEEP=1 leaves it running
#   make bench   measures, prints a table and writes build/bench.json; ONLY=name for one of the benchmarks
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Unit tests know neither root, libvirt nor real guests.
UNITS := -m "not root and not libvirt and not postgres and not e2e" --ignore=tests/simulation --ignore=tests/e2e --ignore=tests/clients
SOURCES := plugins hostagent controller contrib tests
# What a target needs, in this order and never at the same time, whatever -j says.
READY = $(PYTHON) contrib/dev/packages.py $(FOR) && $(MAKE) --no-print-directory venv EXTRA=$(EXTRA)
test bench: FOR := --tests
# Ansible's modules are clients of ours; only the whole suite asks them.
test: EXTRA := ansible

.DEFAULT_GOAL := help
.PHONY: help venv packages lint check test bench demo clean

help:
	@sed -n 's/^#   //p' Makefile

venv:
	@sh contrib/dev/venv.sh $(PYTHON) $(VENV) $(EXTRA)

packages:
	@$(PYTHON) contrib/dev/packages.py

lint: venv
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy

check: lint
	@$(PYTEST) -q -n 2 $(UNITS)

test:
	@$(READY)
	@$(PYTEST) --junit-xml=build/junit.xml

bench:
	@$(READY)
	@$(BIN)/python tests/benchmarks/run.py $(if $(ONLY),--only $(ONLY))

demo:
	@$(READY)
	@$(BIN)/python contrib/demo/demo.py $(if $(KEEP),--keep)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
