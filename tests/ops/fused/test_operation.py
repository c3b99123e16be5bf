"""Kernels in Pallas's interpreter against the layers one after the other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mobilenet.errors import UserError
from mobilenet.networks.architecture import create_architecture, mobilenet_v2
from mobilenet.networks.initialization import initialize
from mobilenet.networks.models import BlockModule, MobileNet
from mobilenet.ops.activations import ACTIVATIONS
from mobilenet.ops.depthwise import depthwise_conv
from mobilenet.ops.fused.operation import can_fuse, fused_expansion

EPSILON = 1e-3
CHANNELS, EXPANDED = 8, 32


def layers(stride: int, dilation: int, activation: str) -> dict[str, int | str]:
    return {
        "activation": activation,
        "stride": stride,
        "dilation": dilation,
        "norm_activation": activation,
    }


def one_by_one(x, kernel, shift, taps, scale, bias, *, padding, epsilon, **layers):
    """The same by XLA's own operations and JAX's own gradients, in the types of the arguments."""
    activate = ACTIVATIONS[layers["activation"]]
    expansion = activate(jnp.einsum("nhwc,cd->nhwd", x, kernel) + shift)
    outputs = depthwise_conv(
        expansion,
        taps,
        stride=layers["stride"],
        dilation=layers["dilation"],
        padding=padding,
        implementation="conv",
    )
    mean, var = outputs.mean((0, 1, 2)), outputs.var((0, 1, 2))
    normalized = (outputs - mean) * jax.lax.rsqrt(var + epsilon) * scale + bias
    return activate(normalized), mean, var


def arguments(images: int, height: int, width: int):
    rng = np.random.default_rng(0)
    shapes = [(images, height, width, CHANNELS), (CHANNELS, EXPANDED), (EXPANDED,)]
    shapes += [(3, 3, 1, EXPANDED), (EXPANDED,), (EXPANDED,)]
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def results_and_gradients(operation, values):
    def loss(*values):
        outputs, mean, var = operation(*values)
        weights = jnp.asarray(np.random.default_rng(1).normal(size=outputs.shape), jnp.float32)
        return (outputs.astype(jnp.float32) * weights).sum(), (outputs, mean, var)

    gradients, results = jax.jit(jax.grad(loss, argnums=tuple(range(len(values))), has_aux=True))(
        *values
    )
    return [*results, *gradients]


@pytest.mark.parametrize(
    ("images", "stride", "dilation", "padding", "activation"),
    [
        (3, 1, 1, "same", "relu6"),
        (256, 2, 1, "same", "relu6"),  # two blocks of images
        pytest.param(3, 2, 1, "symmetric", "relu", marks=pytest.mark.slow),
        pytest.param(3, 1, 2, "same", "linear", marks=pytest.mark.slow),
    ],
)
def test_results_and_gradients_are_those_of_the_layers(
    images, stride, dilation, padding, activation
):
    height, width = (8, 6) if images < 256 else (4, 2)
    values = arguments(images, height, width)
    options = {**layers(stride, dilation, activation), "padding": padding, "epsilon": EPSILON}
    found = results_and_gradients(functools.partial(fused_expansion, **options), values)
    with jax.numpy_rank_promotion("allow"):
        expected = results_and_gradients(functools.partial(one_by_one, **options), values)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5 * np.abs(other).max())


@pytest.mark.slow
def test_bfloat16_is_rounded_between_the_layers_only():
    values = arguments(3, 4, 4)
    options = {**layers(1, 1, "relu6"), "padding": "same", "epsilon": EPSILON}
    narrow = [value.astype(jnp.bfloat16) for value in values[:2]] + values[2:]
    found = results_and_gradients(functools.partial(fused_expansion, **options), narrow)
    rounded = [value.astype(jnp.bfloat16).astype(jnp.float32) for value in values[:2]] + values[2:]
    with jax.numpy_rank_promotion("allow"):
        expected = results_and_gradients(functools.partial(one_by_one, **options), rounded)
    assert found[0].dtype == found[3].dtype == found[4].dtype == jnp.bfloat16
    assert found[1].dtype == found[5].dtype == jnp.float32
    for one, other in zip(found, expected, strict=True):
        # Values have 8 bits, and some gates of the activations fall on the other side.
        error = np.abs(np.asarray(one, np.float32) - other)
        assert error.mean() < 0.05 * np.abs(other).mean() + 1e-6


def test_kernels_take_whole_tiles_and_whole_strides():
    assert can_fuse(EXPANDED, stride=2, height=8, width=6)
    assert not can_fuse(EXPANDED, stride=2, height=7, width=6)
    assert not can_fuse(EXPANDED, stride=2, height=8, width=7)
    assert can_fuse(EXPANDED, stride=1, height=7, width=7)
    assert not can_fuse(24, stride=2, height=8, width=6)


@pytest.mark.parametrize("width", [0.35, 1.0, 1.4])
def test_every_published_expansion_fuses(width):
    height = 224 // 2
    for block in mobilenet_v2(width=width).blocks[1:-1]:
        expand, depthwise = block.layers[:2]
        if expand.name == "expand":
            assert can_fuse(expand.out_channels, depthwise.stride, height, height), block.name
        height //= block.stride


def fill(block: BlockModule) -> None:
    rng = np.random.default_rng(2)
    for layer in (block.expand, block.depthwise, block.project):
        for variable in (layer.kernel, layer.norm.scale, layer.norm.bias):
            variable.set_value(jnp.asarray(rng.normal(size=variable.shape), jnp.float32))
        for variable in (layer.norm.mean, layer.norm.var):
            variable.set_value(jnp.ones(variable.shape))


def test_a_block_moves_its_statistics_as_without_kernels(monkeypatch):
    architecture = create_architecture("mobilenet_v2", width=0.35, num_classes=3)
    x = arguments(4, 4, 4)[0]
    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return fused_expansion(*args, **kwargs)

    monkeypatch.setattr("mobilenet.ops.fused.operation.fused_expansion", counted)

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def run(fused, training):
        block = BlockModule(architecture.blocks[3], architecture, fused_expansions=fused)
        fill(block)
        block.train() if training else block.eval()
        output = block(x, None)[""]
        norms = (block.expand.norm, block.depthwise.norm)
        return [output, *(v[...] for norm in norms for v in (norm.mean, norm.var))]

    expected, found = run(False, True), run(True, True)
    assert len(calls) == 1
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    # With moving statistics there is nothing to gain.
    run(True, False)
    assert len(calls) == 1


def test_a_fused_expansion_is_no_endpoint_in_training():
    architecture = create_architecture("mobilenet_v2", width=0.35, num_classes=3)
    images = jax.ShapeDtypeStruct((4, 32, 32, 3), jnp.float32)

    graph, state = nnx.split(initialize(MobileNet(architecture, fused_expansions=True), 0))

    def endpoint(images):
        network = nnx.merge(graph, state, copy=True)
        return network.endpoints(images, ("block_2/expand", "block_2/depthwise"))

    with pytest.raises(UserError, match=r"'block_2/expand': fused expansions are never stored"):
        jax.eval_shape(endpoint, images)
