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
MATRIX := .pinnace/matrix
ROWS := .pinnace/specialists
CALLS_OF = $(ROWS)/tool_calls.seed-$(1)
RECORDED = --recorded $(DATA)/outcomes/routellm.parquet --recorded $(DATA)/outcomes/routerbench_subset.parquet
LIVE = $(BIN)/pinnace eval live --data $(DATA)/tasks
TASKS := gsm8k svamp arithmetic arc_challenge arc_easy openbookqa mmlu boolq arc_open clinc_oos mt_bench
SUMS := svamp arithmetic
KNOWN_OF_LARGE := gsm8k arc_challenge mmlu
OWN := clinc150 trec svamp arithmetic
CALLS := bfcl_simple bfcl_multiple
MORE_CALLS := bfcl_parallel bfcl_irrelevance
REST := arc_challenge arc_easy arc_open basic_facts boolq clinc_oos gsm8k humaneval mbpp mmlu mt_bench openbookqa
OTHERS := arc_easy arc_open openbookqa boolq basic_facts
SPECIALISTS := intents trec numbers tool_calls
OF_THEM := intents,trec,numbers,tool_calls
TRAIN_intents := --epochs 2
TRAIN_trec := --epochs 1 --batch 16
TRAIN_numbers := --epochs 1
TRAIN_tool_calls := --epochs 1 --batch 16
GO_ON := $(TRAIN_tool_calls) --learning-rate 5e-4

.DEFAULT_GOAL := help
.SECONDARY:
.PHONY: help setup run test test-fast lint bench eval lock clean default-state specialists matrix

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

FITTED := $(STATE)/tasks.parquet $(STATE)/basic_facts.parquet $(STATE)/untrained.parquet $(STATE)/sums.parquet $(STATE)/large.parquet $(STATE)/others.parquet $(STATE)/made_calls.parquet

default-state: setup $(FITTED) ## Fit the router state that ships, on real answers of the fleet that ships
	$(BIN)/pinnace fit $(FITTED) -o pinnace/router/default_state

$(STATE)/tasks.parquet: | setup
	@mkdir -p $(STATE)
	$(LIVE) $(TASKS) --rows 350 $(RECORDED) -o $@

$(STATE)/basic_facts.parquet: | setup
	@mkdir -p $(STATE)
	$(LIVE) basic_facts --rows 1000 -o $@

$(ROWS)/%.jsonl: $(wildcard tools/specialists/*.py tools/specialists/*.yaml) | setup
	$(BIN)/python tools/specialists/rows.py $* --data $(DATA)/tasks -o $@

$(call CALLS_OF,%).jsonl: $(wildcard tools/specialists/*.py tools/specialists/*.yaml) | setup
	$(BIN)/python tools/specialists/rows.py tool_calls --seed $* -o $@

$(STATE)/%.untrained.jsonl: $(ROWS)/%.jsonl
	@mkdir -p $(STATE)
	$(BIN)/python tools/specialists/untrained.py adapters/$* $< -o $@

$(STATE)/untrained.parquet: $(STATE)/intents.untrained.jsonl $(STATE)/trec.untrained.jsonl
	$(LIVE) clinc150 trec --rows 500 $(^:%=--only %) --models smollm2-135m,$(OF_THEM) -o $@

$(STATE)/sums.parquet: | setup
	@mkdir -p $(STATE)
	$(LIVE) $(SUMS) --rows 250 --models $(OF_THEM) -o $@

$(STATE)/large.parquet: | setup
	@mkdir -p $(STATE)
	$(LIVE) $(KNOWN_OF_LARGE) --rows 350 $(RECORDED) --models $(OF_THEM) -o $@

$(STATE)/others.parquet: | setup
	@mkdir -p $(STATE)
	$(LIVE) $(OTHERS) --rows 100 --models $(OF_THEM) -o $@

$(STATE)/made_calls.jsonl: $(foreach seed,0 1 2 3,$(call CALLS_OF,$(seed)).jsonl)
	$(BIN)/python tools/specialists/made_calls.py $^ -o $@

$(STATE)/made_calls.parquet: $(STATE)/made_calls.jsonl
	$(BIN)/pinnace eval live tools/specialists/made_calls.yaml --data $(STATE) --rows 400 --models smollm2-135m,tool_calls -o $@

MEASURED := $(foreach part,own calls more-calls rest,$(MATRIX)/$(part).parquet $(MATRIX)/$(part)-auto.parquet)

matrix: setup $(MEASURED) ## Measure the fleet that ships on every suite's test rows; docs/matrix has what came of it
	$(BIN)/pinnace eval matrix $(MEASURED) --reference smollm2-135m --report docs/matrix -o docs/matrix/outcomes.parquet
	$(BIN)/python tools/specialists/matrix_page.py docs/matrix
	$(BIN)/python tools/specialists/cards.py --matrix docs/matrix/figures.json --data $(DATA)/tasks

$(MEASURED): ASKED = smollm2-135m,smollm2-135m@5,$(OF_THEM)
$(MATRIX)/calls.parquet $(MATRIX)/more-calls.parquet: ASKED = smollm2-135m,tool_calls
$(filter %-auto.parquet,$(MEASURED)): ASKED = auto

$(MATRIX)/own.parquet $(MATRIX)/own-auto.parquet: | setup
	@mkdir -p $(MATRIX)
	$(LIVE) $(OWN) --split held --rows 400 --models $(ASKED) -o $@

$(MATRIX)/calls.parquet $(MATRIX)/calls-auto.parquet: | setup
	@mkdir -p $(MATRIX)
	$(LIVE) $(CALLS) --split held --rows 400 --models $(ASKED) -o $@

$(MATRIX)/more-calls.parquet $(MATRIX)/more-calls-auto.parquet: | setup
	@mkdir -p $(MATRIX)
	$(LIVE) $(MORE_CALLS) --split held --rows 60 --models $(ASKED) -o $@

$(MATRIX)/rest.parquet $(MATRIX)/rest-auto.parquet: | setup
	@mkdir -p $(MATRIX)
	$(LIVE) $(REST) --split held --rows 60 --models $(ASKED) -o $@

specialists: $(SPECIALISTS:%=specialist-%) ## Train the specialists that ship, from their data; one: make specialist-trec

specialist-%: $(ROWS)/%.jsonl
	$(BIN)/pinnace train $< -o adapters/$* $(TRAIN_$*)

specialist-tool_calls: $(call CALLS_OF,3).jsonl $(call CALLS_OF,2).adapter ## Five hours of two cores: the mean of two trainings, and two that go on from it
	$(BIN)/pinnace train $< --begin $(word 2,$^) -o adapters/tool_calls $(GO_ON)

$(call CALLS_OF,2).adapter: $(call CALLS_OF,2).jsonl $(ROWS)/tool_calls.mean
	$(BIN)/pinnace train $< --begin $(word 2,$^) -o $@ $(GO_ON)

$(ROWS)/tool_calls.mean: $(call CALLS_OF,0).adapter $(call CALLS_OF,1).adapter
	$(BIN)/python tools/specialists/averaged.py $^ -o $@

$(ROWS)/%.adapter: $(ROWS)/%.jsonl
	$(BIN)/pinnace train $< -o $@ $(TRAIN_tool_calls)
