"""Which parameters of the real networks decay: by their shapes, and counts from the papers."""

import jax
import pytest
from flax import nnx

from mobilenet.networks.architecture import create_architecture
from mobilenet.networks.models import MobileNet
from mobilenet.training.optimizer import decay_mask

# V1, table 1: the stem, 13 depthwise and 13 pointwise convolutions, the classifier. V2, table 2:
# 17 bottlenecks, of which the first, with t = 1, has no expansion; the 1280 convolution.
_DENSE = {"mobilenet_v1_025": 1 + 13 + 1, "mobilenet_v2_025": 1 + 16 + 17 + 1 + 1}
_DEPTHWISE = {"mobilenet_v1_025": 13, "mobilenet_v2_025": 17}


@pytest.mark.parametrize("name", _DENSE)
def test_kernels_decay_by_their_shape_and_are_as_many_as_the_papers_have(name):
    params = nnx.to_pure_dict(nnx.state(MobileNet(create_architecture(name)), nnx.Param))
    dense, depthwise = _DENSE[name], _DEPTHWISE[name]
    # A scale and a bias for every convolution, which are all kernels but the classifier's.
    vectors = 2 * (dense + depthwise - 1) + 1
    counts = {"dense_kernels": dense, "kernels": dense + depthwise}
    counts["all"] = dense + depthwise + vectors
    for rule, count in counts.items():
        decays = jax.tree.leaves(decay_mask(params, rule))
        assert sum(decays) == count
        for (path, param), yes in zip(
            jax.tree_util.tree_leaves_with_path(params), decays, strict=True
        ):
            # Depthwise kernels are [3, 3, 1, channels]; vectors are biases and BatchNorm's.
            is_depthwise = param.ndim == 4 and param.shape[2] == 1
            expected = {"all": True, "kernels": param.ndim > 1}
            expected["dense_kernels"] = param.ndim > 1 and not is_depthwise
            assert yes == expected[rule], (rule, path)
