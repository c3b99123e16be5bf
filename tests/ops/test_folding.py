"""Statistics of a product from its input, and layers whose normalisation is folded."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mobilenet.networks.architecture import mobilenet_v2
from mobilenet.networks.initialization import initialize
from mobilenet.networks.layers import ConvNorm
from mobilenet.ops.activations import ACTIVATIONS
from mobilenet.ops.folding import _outer_by_conv, linear_statistics, shift_and_activate

RNG = np.random.default_rng(0)
# Off centre, so that the variance is a small difference of large numbers.
INPUT = 5 + RNG.normal(size=(2, 3, 4, 5, 6))
KERNEL = RNG.normal(size=(6, 24))


def test_statistics_are_those_of_the_product():
    x, kernel = INPUT.astype(np.float32), KERNEL.astype(np.float32)
    mean, variance = linear_statistics(jnp.asarray(x), jnp.asarray(kernel))
    product = x.astype(np.float64) @ kernel.astype(np.float64)
    np.testing.assert_allclose(mean, product.mean((1, 2, 3)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(variance, product.var((1, 2, 3)), rtol=1e-5)


def test_statistics_of_bfloat16_are_float32():
    x = jnp.asarray(INPUT, jnp.bfloat16)
    mean, variance = linear_statistics(x, jnp.asarray(KERNEL, jnp.float32))
    assert mean.dtype == variance.dtype == jnp.float32
    product = np.asarray(x, np.float64) @ KERNEL
    np.testing.assert_allclose(mean, product.mean((1, 2, 3)), rtol=1e-4, atol=1e-4)
    # Distances from the mean are rounded to 8 bits, at random.
    np.testing.assert_allclose(variance, product.var((1, 2, 3)), rtol=2e-3)


@pytest.mark.parametrize("groups", [1, 2])
def test_outer_products_as_on_accelerators(groups):
    # Tests run on CPU, which takes another way.
    x = INPUT[:groups].astype(np.float32)
    found = _outer_by_conv(jnp.asarray(x))
    expected = np.einsum("gnhwc,gnhwd->gcd", x, x, dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert _outer_by_conv(jnp.asarray(x, jnp.bfloat16)).dtype == jnp.float32


def test_gradient_of_the_statistics_is_that_of_the_product():
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(INPUT), jnp.asarray(KERNEL)
        weights = jnp.asarray(RNG.normal(size=(2, 2, 24)))

        def loss(statistics, x, kernel):
            return (weights * jnp.stack(statistics(x, kernel))).sum()

        def textbook(x, kernel):
            product = x @ kernel
            return product.mean((1, 2, 3)), product.var((1, 2, 3))

        found = jax.jit(jax.grad(lambda *a: loss(linear_statistics, *a), (0, 1)))(x, kernel)
        expected = jax.jit(jax.grad(lambda *a: loss(textbook, *a), (0, 1)))(x, kernel)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("activation", ["linear", "relu", "relu6"])
def test_shifted_activation_has_the_gradient_of_its_formula(activation):
    with jax.enable_x64(True):
        x, shift = jnp.asarray(INPUT), jnp.asarray(RNG.normal(size=(2, 6)))

        def formula(x, shift):
            return ACTIVATIONS[activation](x + shift[:, None, None, None])

        found, pull = jax.vjp(lambda x, s: shift_and_activate(x, s, activation), x, shift)
        expected, expected_pull = jax.vjp(formula, x, shift)
        np.testing.assert_array_equal(found, expected)
        weights = jnp.asarray(RNG.normal(size=x.shape))
        for ours, theirs in zip(pull(weights), expected_pull(weights), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def _textbook_layer(x, residual, kernel, scale, bias, *, groups, layer, epsilon):
    """A 1x1 convolution, BatchNorm over each group and the activation, as the papers write them."""
    product = (x @ kernel[0, 0]).reshape(groups, -1, *x.shape[1:3], kernel.shape[-1])
    mean, var = (f(product, axis=(1, 2, 3), keepdims=True) for f in (jnp.mean, jnp.var))
    one = (None,) * 4
    normalized = (product - mean) / jnp.sqrt(var + epsilon) * scale[one] + bias[one]
    return ACTIVATIONS[layer.activation](normalized.reshape(residual.shape) + residual)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("name", ["expand", "project"])
def test_a_layer_has_values_gradients_and_statistics_of_the_textbook(name, groups):
    """`expand` takes its statistics from its input, `project` measures them."""
    architecture = dataclasses.replace(
        mobilenet_v2(resolution=32), norm_group_size=6 // groups, norm_momentum=0.0
    )
    (layer,) = (y for y in architecture.blocks[3].layers if y.name == name)
    module = initialize(ConvNorm(layer, architecture), seed=0)
    with jax.enable_x64(True):
        graph, params, rest = nnx.split(module, nnx.Param, ...)
        params, rest = jax.tree.map(lambda a: a.astype(jnp.float64), (params, rest))
        rng = np.random.default_rng(1)
        x = jnp.asarray(2 + rng.normal(size=(6, 3, 4, layer.in_channels)))
        residual = jnp.asarray(rng.normal(size=(6, 3, 4, layer.out_channels)))
        weights = jnp.asarray(rng.normal(size=residual.shape))

        def ours(params, x, residual):
            network = nnx.merge(graph, params, rest, copy=True)
            result = network(x, residual)
            statistics = network.norm.mean[...], network.norm.var[...]
            return (weights * result).sum(), (result, statistics)

        def textbook(params, x, residual):
            norm, kernel = params["norm"], params["kernel"][...]
            result = _textbook_layer(
                x,
                residual,
                kernel,
                norm["scale"][...],
                norm["bias"][...],
                groups=groups,
                layer=layer,
                epsilon=architecture.norm_epsilon,
            )
            return (weights * result).sum(), result

        found, (result, (mean, var)), expected, textbook_result = jax.jit(
            lambda *a: (
                *jax.grad(ours, (0, 1, 2), has_aux=True)(*a),
                *jax.grad(textbook, (0, 1, 2), has_aux=True)(*a),
            )
        )(params, x, residual)
        product = np.asarray(x @ params["kernel"][...][0, 0]).reshape(groups, -1, len(mean))
    np.testing.assert_allclose(result, textbook_result, atol=1e-10)
    np.testing.assert_allclose(mean, product.mean(1).mean(0), atol=1e-10)
    np.testing.assert_allclose(var, product.var(1).mean(0), atol=1e-10)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
