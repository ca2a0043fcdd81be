# make run: the whole service on servers of its own. make test: everything that is tested. make lint: everything else.
# make bench: what is fast, and against what.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint format bench venv dev clean

run: venv
	@exec $(BIN)/python -m config.running

test: venv
	@exec $(BIN)/python -m pytest -n 2 $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy config disputes feedback demo manage.py
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/python manage.py settings_table --check

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Ratios measured side by side, on this machine, in this run.
bench: dev
	$(BIN)/python -m benchmarks.gate_connections

# Installed again only when what is asked for has changed.
venv:
	@./.ci/install $(PYTHON) $(VENV) requirements.txt

dev: venv
	@./.ci/install $(PYTHON) $(VENV) requirements-dev.txt

clean:
	rm -rf $(VENV) .recourse
