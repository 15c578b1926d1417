# make quickstart | test | test-long | test-docs | test-page | lint | docs | bench | figures | env | clean        everything sets up .venv first
# make test-portable         the numeric tests under other processors' kernels, see tests/portable.py
# make test-slurm            not part of test: on a real SLURM controller, which needs apt install slurm-wlm munge
SHELL := /bin/bash
# the first of these on PATH that serves (for 3.12 there is a wheel of fairseq-fixed, on 3.13 not all tests were run);
# one that only a version manager lists does not run
PYTHON ?= $(firstword $(foreach version,3.12 3.11 3.13,$(shell python$(version) -c 'import ensurepip; print("python$(version)")' 2> /dev/null)))
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
READY := .venv/.ready
FAIRSEQ := .venv/.fairseq
SCRIPTS := $(wildcard data-prep/*.sh data-prep/corpora/*.sh experiments/*.sh experiments/steps/*.sh benchmarks/*.sh) .ci/run

.PHONY: quickstart test test-long test-docs test-portable test-page test-slurm lint docs bench figures env fairseq clean

env: $(READY)

fairseq: $(FAIRSEQ)

# Where fairseq-fixed has no wheel (any but Python 3.12 on Linux x86-64), it is built without isolation, against the
# torch just installed; otherwise pip would fetch gigabytes of CUDA into its build environment. The Dockerfile makes this a layer of its own.
$(FAIRSEQ): constraints.txt
	@command -v "$(PYTHON)" > /dev/null || { echo "make: error: $(or $(PYTHON),Python 3.11, 3.12 or 3.13) is not on PATH, with its venv: install it or name one, PYTHON=…" >&2; exit 2; }
	@echo "[1/4] virtual environment in .venv, of $(PYTHON)" && $(PYTHON) -m venv .venv
	@echo "[2/4] torch, numpy and build tools" && $(PIP) pip setuptools wheel cython numpy torch
	@echo "[3/4] fairseq-fixed, which Pythons other than 3.12 compile here (2-3 minutes)" && $(PIP) --no-build-isolation 'fairseq-fixed==0.12.3.1'
	@$(BIN)/pip uninstall --quiet --yes torchaudio  # fairseq uses it for speech only; no release of it loads beside this torch
	@touch $@

$(READY): $(FAIRSEQ) setup.py constraints.txt
	@echo "[4/4] lskd_nmt and its tools" && $(PIP) --no-build-isolation -e '.[test]'
	@ln -sfn "$(CURDIR)/user_dir" "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/user_dir"
	@touch $@

quickstart: $(READY)
	@bash experiments/quickstart.sh

test: $(READY)
	@$(BIN)/python -m pytest --ignore=tests/page -m "not commands and not long" -n auto --dist loadfile --no-loadscope-reorder

test-portable: $(READY)
	@$(BIN)/python tests/portable.py

# what takes half a minute each: trainings of several processes, forecasts, data preparation begun anew
test-long: $(READY)
	@$(BIN)/python -m pytest -m long -n auto tests

# the commands of README and tutorial, and benchmarks/gpu.sh on the CPU, one after another
test-docs: $(READY)
	@$(BIN)/python -m pytest tests/test_docs.py tests/test_gpu.py -m commands

# the page of lskd report in a real browser
test-page: $(READY)
	@command -v chromium chromium-browser google-chrome > /dev/null || { echo "make: error: no chromium on PATH: apt install chromium" >&2; exit 2; }
	@$(BIN)/python -m pytest tests/page

test-slurm: $(READY)
	@$(BIN)/python -m pytest tests/slurm.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/shellcheck -x $(SCRIPTS)

bench: $(READY)
	$(BIN)/python benchmarks/kd_step.py --out benchmarks/results/kd_step_cpu

# the pages of docs/ as a site that a browser opens from the disk: build/site/index.html
docs: .venv/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@! grep -rhoE '<(link|script|img|iframe)[^>]*(href|src)="?(https?:)?//[^" >]*' build/site \
	  || { echo "make: error: the site asks another host, see above" >&2; exit 1; }
	@echo build/site/index.html

.venv/.docs: $(READY)
	@$(PIP) --no-build-isolation -e '.[docs]'
	@touch $@

# the pictures of benchmarks/results, of the JSON beside them
figures: $(READY)
	$(BIN)/python benchmarks/figures.py

clean:
	rm -rf .venv build *.egg-info
