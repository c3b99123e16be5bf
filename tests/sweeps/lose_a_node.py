"""Runs a sweep on a Ray cluster of two nodes on this machine, and kills one in the middle.

    python lose_a_node.py WORKDIR COMMAND...

The command is one of scripts/sweep.py with --launcher=ray and without --address. It talks to the
first node; the second is killed when a run there has a checkpoint. Prints one line of JSON:
`status` and `output` of the command, the run that `lost` its node, and which trainers outlived the
node (`survivors`) and the sweep (`orphans`). Needs a network of its own in which only `lo` is up:
Ray would put another interface's address in place of 127.0.0.1, and wait.
"""

import json
import pathlib
import subprocess
import sys
import time
from typing import Any

from ray.cluster_utils import Cluster

from mobilenet.sweeps.ray_task import STARTED
from tests.sweeps.find_trainers import find_trainers

_OBJECT_STORE_BYTES = 80 * 2**20
_SECONDS_TO_DIE = 20.0


def main(workdir: pathlib.Path, command: list[str]) -> dict[str, Any]:
    needs = {"num_cpus": 1, "object_store_memory": _OBJECT_STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **needs})
    node = cluster.add_node(**needs)
    sweep = subprocess.Popen(
        [*command, f"--address={cluster.address}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    run = _wait_for_checkpoint(workdir, node._node_id, sweep)
    trainers = find_trainers(workdir / run)
    cluster.remove_node(node, allow_graceful=False)
    survivors = _still_there(trainers)
    output, _ = sweep.communicate()
    orphans = find_trainers(workdir)
    cluster.shutdown()
    return {
        "status": sweep.returncode,
        "output": output,
        "lost": run,
        "survivors": survivors,
        "orphans": orphans,
    }


def _wait_for_checkpoint(workdir: pathlib.Path, node: str, sweep: subprocess.Popen[str]) -> str:
    """Returns the run on a node, which has one."""
    while sweep.poll() is None:
        for log in workdir.glob("logs/*.log"):
            first_line, _, _ = log.read_text().partition("\n")
            steps = (workdir / log.stem / "checkpoints").glob("[0-9]*")
            is_here = first_line.startswith(STARTED) and node.startswith(first_line.split()[-1])
            if is_here and any(step.name.isdecimal() for step in steps):
                return log.stem
        time.sleep(0.01)
    sys.exit(sweep.communicate()[0])


def _still_there(processes: list[int]) -> list[int]:
    end = time.monotonic() + _SECONDS_TO_DIE
    while processes and time.monotonic() < end:
        time.sleep(0.1)
        processes = [pid for pid in processes if pathlib.Path(f"/proc/{pid}").exists()]
    return processes


if __name__ == "__main__":
    print(json.dumps(main(pathlib.Path(sys.argv[1]), sys.argv[2:])))
