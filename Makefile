# Every target makes the virtual environment when it is missing.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.installed
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
export RAY_USAGE_STATS_ENABLED := 0
export DO_NOT_TRACK := true

.PHONY: quickstart test test-all chaos lint docs bench bench-check bench-gpu clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	# torch-fidelity's network needs no torchvision, only its metadata asks for it.
	$(PIP) --no-deps torch-fidelity
	# By all cores at once, which pip does not; ours too, as every worker and server imports it, and
	# where PYTHONDONTWRITEBYTECODE is set each would compile it anew. What is for another Python fails.
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib sweeper trials || true
	touch $@

quickstart: $(STAMP)  ## a finished sweep of real GANs, in minutes on two cores
	$(BIN)/sweeper run search_spaces/quickstart.yaml

test: $(STAMP)  ## what every change must pass
	$(BIN)/pytest -q -n 3 --dist worksteal -m "not slow"

test-all: $(STAMP)  ## and the slow rest: every kill, every pair of tricks
	$(BIN)/pytest -q -n 3 --dist worksteal

chaos: $(STAMP)  ## two hundred trials in eight kinds of sweep under random faults, and an audit
	$(BIN)/python -m tests.faults.chaos

lint: $(STAMP)  ## style, types, the architecture, container files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml docker/compose.cuda.yaml docker/compose.bucket.yaml
	$(BIN)/kubernetes-validate --strict --quiet --no-warn docker/kubernetes/*.yaml

docs: $(STAMP)  ## every page that is made from the code
	$(BIN)/python -m sweeper.documentation

bench: $(STAMP)  ## what is claimed about speed, measured
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/overhead.py

bench-check: $(STAMP)  ## does any of it fall behind what was committed by more than 15 %
	$(BIN)/python -m benchmarks.check

bench-gpu: $(STAMP)  ## what a GPU is used for, where there is one, in ten minutes
	$(BIN)/python -m benchmarks.gpu

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
