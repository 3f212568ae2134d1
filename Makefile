# `make help` lists what there is. Every target sets up what it needs.
VENV    := .venv
PY      := $(VENV)/bin/python
READY   := $(VENV)/.ready
PYTHON  ?= python3
WORKERS ?= 2
export OMP_NUM_THREADS := 1
export PATH := $(abspath $(VENV)/bin):$(PATH)

.PHONY: help book serve lab exercises exercises-current test test-site test-grading red-team lint format bench bench-grading data train demo mutants lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

book: $(READY)  ## build the site to _build/html
	$(PY) -m course data --book
	$(PY) -m course execute
	$(VENV)/bin/jupyter-book build book --config _config.yml -W -n --keep-going
	@echo "The book is in _build/html: open _build/html/index.html in a browser, or run 'make serve'."

serve: book  ## build the site and serve it on http://localhost:8000
	$(PY) -m http.server --bind 127.0.0.1 --directory _build/html 8000

lab: $(READY)  ## make a workspace in my-rnn (if there is none) and open it in JupyterLab
	test -f my-rnn/course.json || $(PY) -m course start my-rnn
	cd my-rnn && jupyter lab

exercises: $(READY)  ## make the learners' notebooks and the check data from solutions/
	$(PY) -m course build

exercises-current: $(READY)  ## fail if they are not what the sources make
	$(PY) -m course build --check

test: data  ## run all tests but those that read the built site and those that grade notebooks
	$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not site and not grading"

test-grading: $(READY)  ## run the tests that grade notebooks, most of them in sandboxes (Linux with bubblewrap)
	$(PY) -m pytest -n $(WORKERS) -m grading $(PYTEST_ARGS)

red-team: $(READY)  ## hand every hostile submission to stock nbgrader, contained, and write the guide's table (takes long)
	PYTHONPATH=tests/grading $(PY) -m red_team.stock

test-site: $(READY)  ## read the built site in a browser: links, offline, formulas, cards (run `make book` first)
	$(PY) -m pytest -n $(WORKERS) --dist loadgroup -m site tests/site

lint: $(READY)  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(READY)  ## let ruff mend what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

mutants: $(READY)  ## run every known wrong version through the checks, print the kill matrix
	$(PY) -m course mutants

bench: $(READY)  ## measure speed and memory against PyTorch, in ratios (WRITE=1 keeps the figures for the book)
	$(PY) -m benchmarks.bench_cells $(if $(WRITE),--write)

bench-grading: $(READY)  ## measure `course grade` beside nbgrader (Linux with bubblewrap; WRITE=1 keeps the figures for the guide)
	$(PY) -m benchmarks.bench_grading $(if $(WRITE),--write)

data: $(READY)  ## fetch the data sets of Part IV (once; kept in the user's cache folder)
	$(PY) -m course data

train: data  ## make the long runs that chapters draw from, as far as their logs lack them (all of them: over an hour)
	$(PY) -m course train

demo: $(READY)  ## make a class of submissions and a notebook of each chapter, grade them with nbgrader
	$(PY) -m course demo

lock: $(READY)  ## make requirements.txt from requirements.in (torch stays 2.13.0, its build tag is left to the platform)
	$(VENV)/bin/pip-compile --quiet --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --output-file requirements.txt requirements.in
	sed -i.bak -e 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.txt && rm requirements.txt.bak

clean:  ## remove what was built (not the environment, not a workspace)
	rm -rf _build book/exercises .pytest_cache .hypothesis .mypy_cache .ruff_cache
