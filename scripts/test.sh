#!/usr/bin/env bash
# Runs the whole suite: lint, format, types, tests. Arguments go to pytest, such as -m slow.
# --parity instead compares logits with torchvision, timm, Keras and transformers, which it installs.

source "$(dirname "$0")/environment.sh"
make_environment dev

if [[ ${1:-} == --parity ]]; then
    shift
    make_environment parity
    exec .venv/bin/pytest -m parity "$@"
fi

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/lint-imports
# Two processes: most of the time is spent compiling on one core.
.venv/bin/pytest --numprocesses=2 --dist=loadfile "$@"
