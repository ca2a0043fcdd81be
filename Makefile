# make run: the whole service on servers of its own. make test: everything that is tested. make lint: everything else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint format venv dev clean

run: venv
	@exec $(BIN)/python -m config.running

test: venv
	@exec $(BIN)/python -m pytest -n 2 $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy config disputes manage.py
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/python manage.py settings_table --check

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Installed again only when what is asked for has changed.
venv:
	@./.ci/install $(PYTHON) $(VENV) requirements.txt

dev: venv
	@./.ci/install $(PYTHON) $(VENV) requirements-dev.txt

clean:
	rm -rf $(VENV) .recourse
