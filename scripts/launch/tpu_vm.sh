#!/usr/bin/env bash
# Trains on a Cloud TPU VM slice of any number of hosts: every host runs the same command, and JAX
# asks the TPU which of them it is. Started from your own machine:
#
#     scripts/launch/tpu_vm.sh            # start, or go on with what was interrupted
#     scripts/launch/tpu_vm.sh delete     # give the slice back
#
# Needs gcloud, logged in, with a project. The checkout, its .venv (with "jax[tpu]"), the
# data and the run directory lie on a file system that all hosts have mounted at the same path, such
# as Filestore.

set -euo pipefail

# ---- Edit from here --------------------------------------------------------------------------
NAME=mobilenet
ZONE=us-central1-a
ACCELERATOR=v5litepod-64        # 64 chips on 8 hosts; or v4-64, v5p-64, v6e-64
RUNTIME=v2-alpha-tpuv5-lite     # gcloud compute tpus tpu-vm versions list --zone=$ZONE
CREATE_FLAGS=(--spot)           # cheap, and taken back at any time; empty for one that stays
CHECKOUT=/mnt/shared/mobilenet
TRAIN="python train.py --config=configs/imagenet_v2.py --workdir=/mnt/shared/runs/imagenet_v2
       --config.data.data_dir=/mnt/shared/tensorflow_datasets"
STARTS=20                       # after so many, look at what goes wrong
# ---- to here ---------------------------------------------------------------------------------

tpu() { gcloud compute tpus tpu-vm "$1" "$NAME" --zone="$ZONE" "${@:2}"; }

if [[ ${1:-} == delete ]]; then
    tpu delete --quiet
    exit
fi

# train.py's status 1 is an error, which would come again; for the other hosts it is a lost host.
# Where any host had it, this file says so.
error=$CHECKOUT/error_of_$NAME
train="cd $CHECKOUT && source .venv/bin/activate && ${TRAIN//$'\n'/ } ||
    { status=\$?; [ \$status -ne 1 ] || touch $error; exit \$status; }"

for ((start = 1; start <= STARTS; start++)); do
    # A slice that was taken back is still listed, and takes no new work.
    state=$(tpu describe --format="value(state)" 2> /dev/null || true)
    if [[ $state != READY ]]; then
        [[ -z $state ]] || tpu delete --quiet
        tpu create --accelerator-type="$ACCELERATOR" --version="$RUNTIME" "${CREATE_FLAGS[@]}"
        # Your own preparation of new hosts, such as mounting, belongs here.
    fi
    # A host that lost another ends by itself within a minute, and what an earlier, broken connection
    # left behind would hold the chips.
    tpu ssh --worker=all --command="pkill -KILL -f '[t]rain.py'; rm -f $error"
    if tpu ssh --worker=all --command="$train"; then
        exit 0
    fi
    if tpu ssh --worker=0 --command="test -e $error"; then
        echo "A host ended with an error, which would come again." >&2
        exit 1
    fi
    echo "Start $start of $STARTS ended before the run was complete." >&2
done
exit 1
