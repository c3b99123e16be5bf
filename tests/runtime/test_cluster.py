"""Flags and Slurm's variables tell which processes train together; strays do not."""

import pytest

from mobilenet.errors import UserError
from mobilenet.runtime.cluster import Cluster, find_cluster

# What srun gave to a task of `sbatch --nodes=2 --ntasks-per-node=1` (Slurm 22.05).
_SLURM = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "n[1-2]",
    "SLURM_PROCID": "1",
}


def _find(environment=None, *, on_tpu=False, **given):
    return find_cluster(Cluster(**given), environment or {}, on_tpu=on_tpu)


def test_without_flags_and_variables_a_process_is_alone():
    assert _find() is None


def test_flags_describe_processes():
    given = {"coordinator_address": "10.0.0.1:61440", "num_processes": 4, "process_id": 3}
    assert _find(**given) == Cluster("10.0.0.1:61440", 4, 3)


def test_one_process_needs_no_other():
    assert _find(coordinator_address="10.0.0.1:61440", num_processes=1, process_id=0) is None
    assert _find(_SLURM, num_processes=1, process_id=0) is None


def test_a_task_of_slurm_knows_its_step():
    assert _find(_SLURM) == Cluster("n1:61441", 2, 1)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[1-2]", "n1"),
        ("gpu-[007-009,012],cpu1", "gpu-007"),
        ("a[3,5],b1", "a3"),
        ("rack[2-3]node[10-12]", "rack2node10"),
        ("n[1-2]-ib", "n1-ib"),
    ],
)
def test_the_first_node_of_slurms_list_is_met(nodes, first):
    cluster = _find({**_SLURM, "SLURM_STEP_NODELIST": nodes})
    assert cluster.coordinator_address.rpartition(":")[0] == first


def test_steps_and_jobs_side_by_side_have_their_own_ports():
    changes = ({}, {"SLURM_STEP_ID": "1"}, {"SLURM_JOB_ID": "5000"})
    ports = {_find({**_SLURM, **change}).coordinator_address for change in changes}
    assert len(ports) == 3
    assert all(61440 <= int(port.rpartition(":")[2]) < 65536 for port in ports)


def test_flags_come_before_slurm():
    assert _find(_SLURM, coordinator_address="127.0.0.1:7000") == Cluster("127.0.0.1:7000", 2, 1)


@pytest.mark.parametrize(
    "change",
    [
        # A batch script, or a shell on an allocation of two tasks.
        {"SLURM_STEP_NUM_TASKS": None},
        {"SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_STEP_NODELIST": None},
        {"SLURM_PROCID": ""},
    ],
)
def test_strays_of_slurm_make_no_cluster(change):
    environment = {k: v for k, v in {**_SLURM, **change}.items() if v is not None}
    assert _find(environment) is None


def test_a_tpu_is_asked_by_jax_unless_flags_say_more():
    assert _find(on_tpu=True) == Cluster()
    given = {"coordinator_address": "10.0.0.1:61440", "num_processes": 2, "process_id": 0}
    assert _find(on_tpu=True, **given) == Cluster("10.0.0.1:61440", 2, 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_processes": 2}, "need --coordinator_address and --process_id as well"),
        ({"coordinator_address": "a:1", "process_id": 0}, "need --num_processes as well"),
        (
            {"coordinator_address": "a:1", "num_processes": 2, "process_id": 2},
            "--process_id=2 of --num_processes=2: processes are counted from 0",
        ),
        (
            {"coordinator_address": "a:1", "num_processes": 0, "process_id": 0},
            "--process_id=0 of --num_processes=0",
        ),
        (
            {"coordinator_address": "10.0.0.1", "num_processes": 2, "process_id": 0},
            "--coordinator_address=10.0.0.1 has no port",
        ),
    ],
)
def test_what_cannot_work_is_one_sentence(given, words):
    with pytest.raises(UserError, match=words):
        _find(**given)
