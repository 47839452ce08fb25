# Every target prepares .venv first; it is refreshed when the dependencies change.

PYTHON := .venv/bin/python
READY := .venv/.ready
ARGS ?=

.PHONY: setup demo test lint bench

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet -c constraints.txt -e '.[offline,test,lint]'
	touch $@

demo: $(READY)
	$(PYTHON) examples/demo.py $(ARGS)

test: $(READY)
	$(PYTHON) -m pytest $(ARGS)

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

bench: $(READY)
	$(PYTHON) benchmarks/run.py $(ARGS)
