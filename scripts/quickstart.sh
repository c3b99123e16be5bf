#!/usr/bin/env bash
# Trains and evaluates MobileNetV2 on 5,000 handwritten digits, from a fresh clone, without a
# download of data. Run again, it evaluates what it trained; a killed one goes on where it was.
#   scripts/quickstart.sh [WORKDIR] [--config.key=value ...]

source "$(dirname "$0")/environment.sh"
make_environment quickstart

workdir=runs/quickstart
if [[ $# -gt 0 && $1 != --* ]]; then
    workdir=$1
    shift
fi
.venv/bin/python train.py --config=configs/quickstart.py --workdir="$workdir" "$@"
.venv/bin/python eval.py --workdir="$workdir"
echo "The run lies in $workdir: result.json, metrics.jsonl, checkpoints, TensorBoard events."
