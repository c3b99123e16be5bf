"""Runs a sweep: every row of overrides on one base config.

    python scripts/sweep.py --sweep=configs/sweeps/bottleneck.py --base=configs/cifar10.py \
        --workdir=runs/bottleneck --launcher=local --jobs=2
    python scripts/sweep.py --sweep=... --base=... --base.total_epochs=4.0 --workdir=... \
        --launcher=print > commands.txt

Keys of the base are flags, such as --base.data.data_dir=DIR, and hold for all runs. Started again,
the same command runs what is missing, failed or was stopped.

local: on this machine; --jobs runs side by side share its processors.
ray: on a Ray cluster, or on one started for the occasion; --cpus, --gpus and --tpu are what one run
    needs, --retries how often a run that lost its machine starts again, from its checkpoint. All
    nodes see this checkout, the data and the run directories at the same paths.
print: one command line for each run that is not complete, for Slurm arrays, GKE or xargs.

Exit status: 0 all runs are complete, 1 some failed, 143 stopped by a signal.
"""

import pathlib
import sys

from absl import flags
from ml_collections import config_flags

from mobilenet.errors import UserError
from mobilenet.runtime.entry_point import run
from mobilenet.runtime.signals import STOPPED
from mobilenet.sweeps.display import summarize
from mobilenet.sweeps.local import launch_local
from mobilenet.sweeps.status import Status
from mobilenet.sweeps.sweep import Sweep, command_line, plan_sweep, record_sweep

_SWEEP = flags.DEFINE_string("sweep", None, "File with the rows.", required=True)
_BASE = config_flags.DEFINE_config_file("base", help_string="Config file of all runs.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run directories.", required=True)
_LAUNCHER = flags.DEFINE_enum("launcher", "local", ["local", "ray", "print"], "What runs them.")
_JOBS = flags.DEFINE_integer("jobs", 1, "local: runs side by side.", 1)
_ADDRESS = flags.DEFINE_string("address", None, "ray: of a cluster; by default none is needed.")
_CPUS = flags.DEFINE_float("cpus", 1.0, "ray: processors of a run.", 0.0)
_GPUS = flags.DEFINE_float("gpus", 0.0, "ray: GPUs of a run.", 0.0)
_TPU = flags.DEFINE_float("tpu", 0.0, "ray: TPU chips of a run.", 0.0)
_RETRIES = flags.DEFINE_integer("retries", 3, "ray: new starts of a run that lost its machine.", 0)
flags.mark_flag_as_required("base")

_READ_BY = {
    "jobs": "local",
    "address": "ray",
    "cpus": "ray",
    "gpus": "ray",
    "tpu": "ray",
    "retries": "ray",
}


def main() -> int | None:
    for name, launcher in _READ_BY.items():
        if flags.FLAGS[name].present and launcher != _LAUNCHER.value:
            raise UserError(
                f"--{name} means nothing to --launcher={_LAUNCHER.value}: leave it out."
            )
    base_flag = flags.FLAGS["base"]
    sweep = plan_sweep(
        _SWEEP.value,
        config_flags.get_config_filename(base_flag),
        _BASE.value,
        config_flags.get_override_values(base_flag),
        _WORKDIR.value,
    )
    if _LAUNCHER.value == "print":
        for planned in sweep.runs:
            if not planned.is_complete():
                print(command_line(("python", "train.py"), planned))
        return None
    record_sweep(sweep)
    statuses = _launch(sweep)
    print(f"{summarize(statuses)}: {sweep.workdir}")
    states = {status.state for status in statuses}
    return 1 if "failed" in states else STOPPED if states != {"complete"} else None


def _launch(sweep: Sweep) -> list[Status]:
    train = pathlib.Path(__file__).resolve().parents[1] / "train.py"
    # A run has one host, also where Ray's workers are the tasks of a Slurm step or on a TPU slice.
    program = (sys.executable, str(train), "--distributed=off")
    if _LAUNCHER.value == "local":
        return launch_local(sweep, program, jobs=_JOBS.value)
    from mobilenet.sweeps.ray_launcher import launch_ray  # an optional group

    return launch_ray(
        sweep,
        program,
        address=_ADDRESS.value,
        resources={"CPU": _CPUS.value, "GPU": _GPUS.value, "TPU": _TPU.value},
        retries=_RETRIES.value,
    )


if __name__ == "__main__":
    run(main)
