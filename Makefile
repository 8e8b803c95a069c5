# Two commands do all set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(CURDIR)/$(VENV)/bin/python
TWO := -n 2 --dist loadfile --no-loadscope-reorder # two processes; the tests of a file stay together, the slow files come first
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: demo test quick compat lint format clean

demo: $(VENV)/.installed ## The main job end to end: prepare, train, score, MLflow. CHECKPOINT=NAME for a model of your own
	@$(RUN) jobs/demo.py $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

test: $(VENV)/.installed ## Every test; and on Spark Connect and a cluster of processes what every session has to do
	$(RUN) -m pytest $(TWO)
	$(RUN) -m pytest $(TWO) --session connect
	$(RUN) -m pytest $(TWO) --session local-cluster

quick: $(VENV)/.installed ## The tests that are not slow
	$(RUN) -m pytest $(TWO) -m "not slow and not realdata"

compat: $(VENV)/.installed ## A part of the tests on other versions of Python, Spark and transformers; prints a table
	$(RUN) .ci/compat.py

lint: $(VENV)/.installed ## Style, common mistakes, types, who imports whom
	$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy && $(VENV)/bin/lint-imports --no-logo --no-cache

format: $(VENV)/.installed ## Lay the code out and mend what can be mended
	$(RUN) -m ruff check --fix . ; $(RUN) -m ruff format .

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 10) or sys.exit("Expected Python 3.10 or later; found %d.%d. Name another: make PYTHON=python3.11 ..." % v)'
	@echo "Setting up $(VENV): Spark, torch, MLflow and what they need, some GB"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check uv
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) --constraint constraints.txt --editable '.[spark,cpu,dev]'
	@touch $@

clean: ## Remove what the commands above have made
	rm -rf $(VENV) demo *.egg-info .pytest_cache .ruff_cache
