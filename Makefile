# `make run` and `make test` are enough; both set up .venv first (tools/setup.py), which costs nothing the second time.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
DATA ?= ../shared/data
STATE := .pinnace/default-state
REPORTS := .pinnace/reports
REPLAY = $(BIN)/pinnace eval replay $(DATA)/outcomes
FLOOR = $(BIN)/pinnace eval floor $(DATA)/outcomes
POOL_mmlu_pro := Phi-3-mini-4k-instruct,mathstral-7B,Meta-Llama-3_1-8B-Instruct,gemma-7b,Yi-6b-Chat,Mistral-7B-Instruct-v0.2,Qwen1.5-7B-Chat:Meta-Llama-3_1-70B-Instruct
POOL_llmrouter_uiuc := qwen2.5-7b-instruct,gemma-2-9b-it,llama-3.1-8b-instruct,mistral-7b-instruct-v0.3,codegemma-7b,llama3-chatqa-1.5-8b:llama-3.1-nemotron-51b-instruct
POOL_routerbench_subset := meta/llama-2-70b-chat,mistralai/mixtral-8x7b-chat,zero-one-ai/Yi-34B-Chat,WizardLM/WizardLM-13B-V1.2,meta/code-llama-instruct-34b-chat,mistralai/mistral-7b-chat:gpt-4-1106-preview
POOL_routellm := mistralai/Mixtral-8x7B-Instruct-v0.1:gpt-4-1106-preview
TASKS := gsm8k svamp arithmetic arc_challenge arc_easy openbookqa mmlu boolq trec arc_open clinc_oos mt_bench

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast lint bench eval lock clean default-state

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

eval: setup ## Measure the routing on the public tables (DATA=../shared/data); one table: make eval-mmlu_pro
	@$(MAKE) --no-print-directory eval-mmlu_pro eval-llmrouter_uiuc eval-routerbench_subset eval-routellm eval-routerdc eval-gate eval-floor

eval-mmlu_pro: setup
	$(REPLAY)/mmlu_pro.parquet --pool "$(POOL_mmlu_pro)" --report $(REPORTS)/mmlu_pro

eval-llmrouter_uiuc: setup
	$(REPLAY)/llmrouter_uiuc.parquet --pool "$(POOL_llmrouter_uiuc)" --report $(REPORTS)/llmrouter_uiuc

eval-routerbench_subset: setup
	$(REPLAY)/routerbench_subset.parquet --pool "$(POOL_routerbench_subset)" --report $(REPORTS)/routerbench_subset

eval-routellm: setup
	$(REPLAY)/routellm.parquet --protocol routellm --report $(REPORTS)/routellm

eval-routerdc: setup
	$(REPLAY)/routerdc_7models.parquet --protocol routerdc --report $(REPORTS)/routerdc

eval-gate: setup $(STATE)/tasks.parquet $(STATE)/basic_facts.parquet
	$(BIN)/pinnace eval gate $(STATE)/tasks.parquet $(STATE)/basic_facts.parquet --report $(REPORTS)/gate

eval-floor: setup ## How often a quality floor is missed, over 200 re-splits of four tables
	$(FLOOR)/routerbench_subset.parquet --pool "$(POOL_routerbench_subset)"
	$(FLOOR)/llmrouter_uiuc.parquet --pool "$(POOL_llmrouter_uiuc)"
	$(FLOOR)/mmlu_pro.parquet --pool "$(POOL_mmlu_pro)"
	$(FLOOR)/routellm.parquet --pool "$(POOL_routellm)"

setup:      ## Make .venv ready (PINNACE_EXTRA=cpu or gpu chooses; else the machine does)
	@$(PYTHON) tools/setup.py

lock: setup ## Resolve the dependencies anew into requirements/
	$(BIN)/python tools/lock.py

clean:      ## Remove .venv and caches; models and the ledger in .pinnace stay
	rm -rf .venv/pyvenv.cfg .venv .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

default-state: setup $(STATE)/tasks.parquet $(STATE)/basic_facts.parquet ## Fit the router state that ships, on real answers of the default model
	$(BIN)/pinnace fit $(STATE)/tasks.parquet $(STATE)/basic_facts.parquet -o pinnace/router/default_state

$(STATE)/tasks.parquet: | setup
	@mkdir -p $(STATE)
	$(BIN)/pinnace eval live $(TASKS) --rows 350 --data $(DATA)/tasks -o $@ \
	  --recorded $(DATA)/outcomes/routellm.parquet --recorded $(DATA)/outcomes/routerbench_subset.parquet

$(STATE)/basic_facts.parquet: | setup
	@mkdir -p $(STATE)
	$(BIN)/pinnace eval live basic_facts --rows 1000 --data $(DATA)/tasks -o $@
