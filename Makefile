# make demo: the main job on the embedded demo suite. make test: everything CI runs. Both need only Python 3.11 and
# the package index; with a GPU, set CONSTRAINTS= to let pip choose a CUDA build of torch.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= -c constraints.txt
BIN := $(VENV)/bin
DEMO := runs/demo

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(BIN)/python -m bench run --methods finetune,cp,tapweight,tapweight-null --tasks demo --seeds 0-2 \
		--protocol smoke --jobs 2 --out $(DEMO)

test: $(VENV)/installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q $(CONSTRAINTS) -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install -q $(CONSTRAINTS) -e '.[dev]'
	touch $@

clean:
	rm -rf $(DEMO)
