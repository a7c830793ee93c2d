# Every command sets up what it needs: .venv from the locked requirements, then its work.
PYTHON ?= python3
UV ?= $(shell command -v uv)
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q -m
# torch names its own CUDA packages, one version each; its CPU build needs none of them.
TORCHS = $(shell sed -nE 's/^name = "((nvidia|cuda)-.*|triton)"/--no-emit-package \1/p' uv.lock)
export RAY_USAGE_STATS_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help install lock sweep test long gpu docs gallery ui check clean

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## create .venv from the locked requirements, by uv if it is there, else by pip

# requirements.lock is written from uv.lock (make lock), so both ways install the same versions.
$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "Installing the locked requirements into $(VENV) (a few minutes the first time) ..."
ifneq ($(UV),)
	@test -x $(BIN)/python || $(UV) venv --quiet --python '$(if $(filter file,$(origin PYTHON)),>=3.11,$(PYTHON))' $(VENV)
	@$(UV) pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
else
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Grokmap needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.12 install"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
endif
	@touch $@
	@echo "Installed. Next: 'make sweep' draws a regime map, '. $(BIN)/activate' puts the command 'grokmap' on the path."

lock: install  ## after a change to pyproject.toml: resolve it into uv.lock, and write requirements.lock from that
	$(BIN)/uv lock
	@$(BIN)/uv export --quiet --frozen --extra dev --no-hashes --no-emit-project --no-annotate $(TORCHS) \
	  --output-file requirements.lock >/dev/null

sweep: install  ## run the default sweep on this machine and draw its regime map (about two minutes on 2 cores)
	@$(BIN)/python sweep.py

ui: install  ## browse all runs in MLflow; the addresses of the sweeps are printed
	@$(BIN)/grokmap ui

check: install  ## formatting, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/architecture

# $(call beside,A,B): two suites side by side, since what has processes or hosts of its own waits for them most of the
# time. What A prints follows B's; either may fail.
beside = log=$$(mktemp); $(1) >"$$log" 2>&1 & other=$$!; $(2); front=$$?; wait $$other; back=$$?; \
  cat "$$log"; rm -f "$$log"; exit $$((front ? front : back))

test: install  ## the tests (the long ones, against published numbers and on real hosts, are 'make long')
	$(PYTEST) "not (ray or browser or postgres or cluster or cuda or science)" -n 2 --dist worksteal
	@$(call beside,$(PYTEST) "browser and not (ray or cluster)",$(PYTEST) "(ray or postgres) and not cluster")
	@$(BIN)/python -m tests.needs browser postgres
	@echo "Next: 'make sweep' draws a regime map; 'make long' runs the long suites."

long: install  ## the long suites: results held to published numbers, and a cluster of real hosts (root, Linux)
	@$(call beside,$(PYTEST) "science and not cluster",$(PYTEST) cluster)
	@$(BIN)/python -m tests.needs cluster

gpu: install  ## on a machine with an NVIDIA card: the tests that need it, then the engine's benchmark on it
	$(PYTEST) cuda
	@$(BIN)/python -m tests.needs cuda
	$(BIN)/python -m benchmarks.gpu

gallery: install  ## run published results again, the cheap ones, and write docs/gallery (half an hour on two cores)
	@$(BIN)/grokmap reproduce --published --quick --out docs/gallery --again

docs: install  ## build the documentation site into site/, strictly: every link and every name must be there
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html, or run '$(BIN)/mkdocs serve' for a site with search that follows your changes."

clean:  ## remove .venv and caches, but no results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache site .hypothesis build *.egg-info
