# `make run` and `make test` are enough; both set up .venv first (tools/setup.py), which costs nothing the second time.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast lint bench lock clean default-state

help:       ## Show this list
	@sed -n 's/^\([a-z-]*:\).*##/make \1/p' $(MAKEFILE_LIST)

run: setup  ## Serve on http://127.0.0.1:8000 (another port: PORT=9000 make run)
	@exec $(BIN)/pinnace serve --port $(PORT)

test: setup ## Run the whole suite, real models included
	@HF_HUB_OFFLINE=1 exec $(BIN)/pytest -m ""

test-fast: setup ## Run the tests that start no model
	@HF_HUB_OFFLINE=1 exec $(BIN)/pytest

lint: setup ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PYRIGHT_PYTHON_GLOBAL_NODE=0 PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

bench: setup ## Measure throughput, latency and overhead of this installation
	@exec $(BIN)/pinnace bench

setup:      ## Make .venv ready (PINNACE_EXTRA=cpu or gpu chooses; else the machine does)
	@$(PYTHON) tools/setup.py

lock: setup ## Resolve the dependencies anew into requirements/
	$(BIN)/python tools/lock.py

clean:      ## Remove .venv and caches; models and the ledger in .pinnace stay
	rm -rf .venv/pyvenv.cfg .venv .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

DATA ?= ../shared/data
STATE := .pinnace/default-state
TASKS := gsm8k svamp arithmetic arc_challenge arc_easy openbookqa mmlu boolq trec arc_open clinc_oos mt_bench

default-state: setup ## Fit the router state that ships, on real answers of the default model (DATA=../shared/data)
	@mkdir -p $(STATE)
	$(BIN)/pinnace eval live $(TASKS) --rows 350 --data $(DATA)/tasks -o $(STATE)/tasks.parquet \
	  --recorded $(DATA)/outcomes/routellm.parquet --recorded $(DATA)/outcomes/routerbench_subset.parquet
	$(BIN)/pinnace eval live basic_facts --rows 1000 --data $(DATA)/tasks -o $(STATE)/basic_facts.parquet
	$(BIN)/pinnace fit $(STATE)/tasks.parquet $(STATE)/basic_facts.parquet -o pinnace/router/default_state
