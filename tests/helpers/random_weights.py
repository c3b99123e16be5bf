"""Networks whose every value is drawn, so that no two tensors are alike."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mobilenet.networks.architecture import create_architecture
from mobilenet.networks.models import MobileNet
from mobilenet.weights.pretrained import Pretrained


@functools.cache
def draw_network(name, num_classes, seed=0, **knobs):
    """Returns a network as if it had been loaded; kernels keep the size of what goes through."""
    architecture = create_architecture(name, num_classes=num_classes, **knobs)
    model = MobileNet(architecture)
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        kind, shape = path[-1].key if hasattr(path[-1], "key") else path[-1], leaf.shape
        if "kernel" in kind:
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
        else:
            value = rng.random(shape) + (0.5 if kind in ("scale", "var") else -0.5)
        return jnp.asarray(value, jnp.float32)

    state = nnx.to_pure_dict(nnx.state(model))
    nnx.update(model, jax.tree_util.tree_map_with_path(draw, state))
    return Pretrained(model, "drawn", True)
