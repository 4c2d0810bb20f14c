# `make demo` and `make test` are all a new user needs; both install into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format bench docs pictures clean

demo: $(VENV)/.local
	@$(BIN)/ccapi demo

test: $(VENV)/.dev
	$(BIN)/pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Ratios, side by side in one run: they hold on any machine, seconds do not.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# What in docs/ is made from the program.
docs: $(VENV)/.dev
	$(BIN)/python -m tools.docs

# Of what `ccapi ask` looks like, from real runs in tmux.
pictures: $(VENV)/.dev
	$(BIN)/python -m tools.pictures

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache

# pip, not python: where ensurepip is missing (Debian's python3-venv), a broken .venv has the one without the other.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: pyproject.toml | $(BIN)/pip
	@echo "Installing ccapi and Claude Code into $(VENV) (once; about 400 MB) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[local]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	@echo "Installing ccapi and its tools into $(VENV) (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.local
