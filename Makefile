# make run: the whole service on servers of its own. make demo: the story of what it is for. make test: everything that is
# tested. make lint: everything else.
# make bench: what is fast, and against what.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run demo pictures test faults lint format bench venv dev clean

run: venv
	@exec $(BIN)/python -m config.running

# The whole road told as a story, against the service that runs, or one that is started for it.
demo: venv
	@$(BIN)/python manage.py demo $(ARGS)

# The pictures of the README, taken in headless Chromium from a service of their own.
pictures: venv
	@$(BIN)/python -m demo.pictures

test: venv
	@exec $(BIN)/python -m pytest -n 2 $(ARGS)

# The whole service under fire for a while: web, worker and PostgreSQL killed, and no forbidden order found.
faults: venv
	FAULTS_SECONDS=$${FAULTS_SECONDS:-60} $(BIN)/python -m pytest -n 0 -s tests/faults/test_guarantee_under_fire.py $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy config disputes feedback demo manage.py
	$(BIN)/lint-imports
	cd clients/python && $(CURDIR)/$(BIN)/mypy --config-file pyproject.toml recourse_client && $(CURDIR)/$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/python manage.py settings_table --check

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Ratios measured side by side, on this machine, in this run.
bench: dev
	$(BIN)/python -m benchmarks.gate
	$(BIN)/python -m benchmarks.opening
	$(BIN)/python -m benchmarks.gate_connections
	$(BIN)/python -m benchmarks.screening --holds 500000
	$(BIN)/python -m benchmarks.judging
	$(BIN)/python -m benchmarks.importing
	$(BIN)/python -m benchmarks.rechecking
	$(BIN)/python -m benchmarks.flatness

# Installed again only when what is asked for has changed.
venv:
	@./.ci/install $(PYTHON) $(VENV) requirements.txt

dev: venv
	@./.ci/install $(PYTHON) $(VENV) requirements-dev.txt

clean:
	rm -rf $(VENV) .recourse
