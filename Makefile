# make install | demo | test | check | docs | bench | bench-service
# Everything lands in .venv and in the user's cache folder; nothing else has to be typed.

PYTHON ?= python3
EXTRAS ?= cpu,train,service,otel,test
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMP := $(VENV)/.installed

.PHONY: install demo test check docs bench bench-service constraints clean

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml requirements/constraints.txt requirements/overrides.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "es-reasonrank needs Python 3.11 or newer, and $(PYTHON) is older; run: make PYTHON=/path/to/python3.11" >&2; exit 3; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==0.13.8
	$(UV) pip install --quiet --python $(BIN)/python --override requirements/overrides.txt \
		--constraint requirements/constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

demo: install
	$(BIN)/es-reasonrank demo

test: install check
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install
	$(BIN)/python docs/generate.py

# Measures against rank_llm, which gets an environment of its own in the cache folder.
bench: install
	$(BIN)/python tests/benchmarks/peer/bench_peer.py build/bench_peer.json

# Measures the service beside direct calls of Elasticsearch, and nginx where it is installed.
bench-service: install
	$(BIN)/python tests/benchmarks/service/bench_service.py --steady 600 --out build/bench_service.json

# Writes the pins again from what setup.cfg allows.
constraints:
	$(UV) pip compile --quiet --python-version 3.11 --override requirements/overrides.txt --extra cpu --extra train \
		--extra service --extra otel --extra ray --extra test --no-header --no-annotate --output-file requirements/constraints.txt setup.cfg

clean:
	rm -rf $(VENV) build *.egg-info
