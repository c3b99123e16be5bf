"""Batches are split over all devices, in order, and sizes that do not divide are refused."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from mobilenet.errors import ConfigError
from mobilenet.runtime.mesh import (
    check_batch_size,
    check_eval_batch_size,
    make_mesh,
    replicated,
    to_devices,
)


def test_the_mesh_holds_every_device_on_one_axis():
    mesh = make_mesh()
    assert mesh.axis_names == ("data",)
    assert mesh.axis_types == (AxisType.Auto,)
    assert list(mesh.devices.flat) == jax.devices()
    assert mesh.size == 8


@dataclasses.dataclass(frozen=True)
class _Device:
    id: int
    process_index: int


def test_the_devices_of_a_host_are_side_by_side(monkeypatch):
    # As on a TPU v3-32: the second host's chips lie beside the first's.
    devices = [_Device(index, index // 4 % 2 + 2 * (index // 16)) for index in range(32)]
    monkeypatch.setattr("jax.devices", lambda: devices)
    order = [(device.process_index, device.id) for device in make_mesh().devices.flat]
    assert order[:9] == [*((0, index) for index in (0, 1, 2, 3, 8, 9, 10, 11)), (1, 4)]
    assert order == sorted(order)


def test_a_size_that_hosts_do_not_share_evenly_names_them(monkeypatch):
    devices = [_Device(index, index // 4) for index in range(8)]
    monkeypatch.setattr("jax.devices", lambda: devices)
    words = "must be a multiple of 8: 8 devices of 2 hosts times 1"
    with pytest.raises(ConfigError, match=words):
        check_batch_size(make_mesh(), 12, accumulation_steps=1, norm_group_size=None)
    with pytest.raises(ConfigError, match="must be a multiple of the 8 devices of 2 hosts"):
        check_eval_batch_size(make_mesh(), 12)


def test_every_device_gets_its_part_in_order():
    batch = {"labels": np.arange(24), "images": np.arange(48).reshape(24, 2)}
    placed = to_devices(batch, make_mesh())
    np.testing.assert_array_equal(placed["images"], batch["images"])
    for index, shard in enumerate(placed["labels"].addressable_shards):
        assert shard.device == jax.devices()[index]
        np.testing.assert_array_equal(shard.data, [3 * index, 3 * index + 1, 3 * index + 2])


def test_replicated_arrays_are_whole_everywhere():
    placed = jax.device_put(np.arange(3), replicated(make_mesh()))
    assert [shard.data.shape for shard in placed.addressable_shards] == [(3,)] * 8


@pytest.mark.parametrize(
    ("batch_size", "accumulation_steps", "norm_group_size"),
    [(8, 1, None), (64, 4, 2), (64, 4, 1), (48, 2, 3)],
)
def test_sizes_that_divide_pass(batch_size, accumulation_steps, norm_group_size):
    check_batch_size(
        make_mesh(),
        batch_size,
        accumulation_steps=accumulation_steps,
        norm_group_size=norm_group_size,
    )


@pytest.mark.parametrize(
    ("batch_size", "accumulation_steps", "norm_group_size", "message"),
    [
        (12, 1, None, "config.batch_size=12 must be a multiple of 8"),
        (0, 1, None, "config.batch_size=0 must be a multiple of 8"),
        (-8, 1, None, "config.batch_size=-8 must be a multiple of 8"),
        (24, 2, None, "config.batch_size=24 must be a multiple of 16: 8 devices times 2"),
        (64, 0, None, "config.optimizer.accumulation_steps must be at least 1, not 0"),
        (64, 1, 16, "config.model.norm_group_size=16 must divide the 8 images"),
        (64, 2, 8, "config.model.norm_group_size=8 must divide the 4 images"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(
    batch_size, accumulation_steps, norm_group_size, message
):
    with pytest.raises(ConfigError, match=message):
        check_batch_size(
            make_mesh(),
            batch_size,
            accumulation_steps=accumulation_steps,
            norm_group_size=norm_group_size,
        )


@pytest.mark.parametrize("batch_size", [0, 12, -8])
def test_evaluation_batches_must_divide_too(batch_size):
    check_eval_batch_size(make_mesh(), 16)
    with pytest.raises(ConfigError, match=f"config.evaluation.batch_size={batch_size} must"):
        check_eval_batch_size(make_mesh(), batch_size)
