"""Which parameters of the real networks decay: golden lists, and counts from the papers."""

import os
import pathlib

import jax
import pytest
from flax import nnx

from mobilenet.networks.architecture import create_architecture
from mobilenet.networks.models import MobileNet
from mobilenet.training.optimizer import decay_mask

_GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def _network_params(name):
    module = MobileNet(create_architecture(name))
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))


def _decays_by_path(name, rule):
    leaves = jax.tree_util.tree_leaves_with_path(decay_mask(_network_params(name), rule))
    return {"/".join(key.key for key in path): yes for path, yes in leaves}


@pytest.mark.parametrize("rule", ["all", "kernels", "dense_kernels"])
def test_what_decays_is_as_written_down(rule):
    lines = [
        f"{name} {path} {'decays' if yes else '-'}"
        for name in ("mobilenet_v1_025", "mobilenet_v2_025")
        for path, yes in sorted(_decays_by_path(name, rule).items())
    ]
    path = _GOLDEN / f"weight_decay_{rule}.txt"
    text = "\n".join(lines) + "\n"
    if os.environ.get("REGENERATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        f"What decays under {rule!r} has changed. If you meant it, run this test once with "
        f"REGENERATE_GOLDEN=1 and check the diff of {path.name} line by line."
    )


# V1, table 1: the stem, 13 depthwise and 13 pointwise convolutions, the classifier. V2, table 2:
# 17 bottlenecks, of which the first, with t = 1, has no expansion; the 1280 convolution.
_DENSE = {"mobilenet_v1_025": 1 + 13 + 1, "mobilenet_v2_025": 1 + 16 + 17 + 1 + 1}
_DEPTHWISE = {"mobilenet_v1_025": 13, "mobilenet_v2_025": 17}


@pytest.mark.parametrize("name", ["mobilenet_v1_025", "mobilenet_v2_025"])
def test_as_many_parameters_decay_as_the_papers_have_kernels(name):
    dense, depthwise = _DENSE[name], _DEPTHWISE[name]
    assert sum(_decays_by_path(name, "dense_kernels").values()) == dense
    assert sum(_decays_by_path(name, "kernels").values()) == dense + depthwise
    # A scale and a bias for every convolution, which are all kernels but the classifier's.
    biases = 2 * (dense + depthwise - 1) + 1
    everything = _decays_by_path(name, "all")
    assert all(everything.values())
    assert len(everything) == dense + depthwise + biases


@pytest.mark.parametrize("name", ["mobilenet_v1_025", "mobilenet_v2_025"])
def test_dense_kernels_are_those_whose_shape_is_not_depthwise(name):
    params = _network_params(name)
    mask = decay_mask(params, "dense_kernels")
    for (path, param), yes in zip(
        jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(mask), strict=True
    ):
        # Depthwise kernels are [3, 3, 1, channels]; vectors are biases and BatchNorm's.
        is_depthwise = param.ndim == 4 and param.shape[2] == 1
        assert yes == (param.ndim > 1 and not is_depthwise), path
