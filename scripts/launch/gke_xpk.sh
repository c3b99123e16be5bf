#!/usr/bin/env bash
# Trains on TPU slices of a GKE cluster by xpk (github.com/AI-Hypercomputer/xpk): one pod a host, and
# JAX asks the TPU which of them it is.
#
#     scripts/launch/gke_xpk.sh
#
# Needs gcloud, xpk, docker, and a cluster that xpk made, with a file system attached that holds the
# data and the run directory (`xpk storage attach`). This checkout goes into the image.

set -euo pipefail
cd "$(dirname "$0")/../.."

# ---- Edit from here --------------------------------------------------------------------------
WORKLOAD=mobilenet-1            # a new name for each start by hand; restarts need none
PROJECT=my-project
ZONE=us-central1-a
CLUSTER=my-cluster
TPU=v5litepod-64                # 64 chips on 8 hosts
SLICES=1
TRAIN="python train.py --config=configs/imagenet_v2.py --workdir=/mnt/shared/runs/imagenet_v2
       --config.data.data_dir=/mnt/shared/tensorflow_datasets"
RESTARTS=20
# ---- to here ---------------------------------------------------------------------------------

# 134: another host was lost (SIGABRT, by JAX); 143: preempted and saved. 1, an error, comes again.
xpk workload create \
    --workload="$WORKLOAD" --project="$PROJECT" --zone="$ZONE" --cluster="$CLUSTER" \
    --tpu-type="$TPU" --num-slices="$SLICES" \
    --base-docker-image=python:3.12 --script-dir=. \
    --max-restarts="$RESTARTS" --restart-on-exit-codes=134,143 \
    --command="pip install --quiet -r requirements.txt 'jax[tpu]' && ${TRAIN//$'\n'/ }"
