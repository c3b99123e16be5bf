"""The depthwise convolution and its gradients against `jax.lax`, on one device and on several."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mobilenet.ops.depthwise import depthwise_conv
from mobilenet.ops.padding import explicit_padding

CHANNELS = 3
SQUARE = (3, 3)
# (size, kernel size, dilation, padding); both axes get an odd and an even size.
GRID = list(itertools.product(((8, 7), (9, 12)), (SQUARE,), (1, 2, 4), ("same", "symmetric")))
CORNERS = [
    ((1, 2), SQUARE, 1, "same"),
    ((1, 2), SQUARE, 4, "symmetric"),
    ((6, 7), (1, 1), 2, "symmetric"),
    ((6, 7), (2, 5), 1, "same"),
    ((6, 7), (4, 2), 2, "symmetric"),
]
# Results are rounded once; sums before are float32, float64 for float64.
TOLERANCES = {
    "float64": {"rtol": 1e-12, "atol": 1e-13},
    "float32": {"rtol": 1e-5, "atol": 1e-5},
    "bfloat16": {"rtol": 2.0**-8, "atol": 1e-5},
}


def reference(x, kernel, *, stride, dilation, padding):
    pads = [
        explicit_padding(size, taps, stride, dilation, padding)
        for size, taps in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    ]
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        pads,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
        precision=lax.Precision.HIGHEST,
    )


def random_inputs(size, kernel_size, *, images=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, *size, CHANNELS))
    return x, rng.standard_normal((*kernel_size, 1, CHANNELS))


def gradients(function, x, kernel):
    """Returns the output, and the gradients by x and kernel of the sum of half its squares.

    The cotangent is the output in x's own precision, so it is passed on, rounded, to a reference.
    """
    y, pull_back = jax.vjp(function, x, kernel)
    return y, *pull_back(y)


def expected(x, kernel, cotangent, *, stride, dilation, padding):
    function = functools.partial(reference, stride=stride, dilation=dilation, padding=padding)
    y, pull_back = jax.vjp(function, x, kernel)
    return y, *pull_back(cotangent)


@pytest.mark.parametrize(
    ("dtype", "stride", "cases"),
    [
        ("float32", 1, GRID),
        ("float32", 2, GRID),
        ("bfloat16", 1, GRID[:6]),
        ("bfloat16", 2, GRID[:6]),
        ("float64", 1, CORNERS),
        ("float64", 2, CORNERS),
        ("float64", 3, CORNERS),
    ],
)
def test_output_and_gradients_are_those_of_lax(dtype, stride, cases):
    options = [{"stride": stride, "dilation": case[2], "padding": case[3]} for case in cases]

    def all_ours(inputs):
        return [
            gradients(functools.partial(depthwise_conv, **option), *arrays)
            for option, arrays in zip(options, inputs, strict=True)
        ]

    def all_expected(inputs):
        return [expected(*arrays, **option) for option, arrays in zip(options, inputs, strict=True)]

    with jax.enable_x64(True):
        inputs = [
            tuple(jnp.asarray(a, dtype) for a in random_inputs(size, kernel_size))
            for size, kernel_size, *_ in cases
        ]
        ours = jax.jit(all_ours)(inputs)
        wide = [
            tuple(a.astype(jnp.float64) for a in (*arrays, results[0]))
            for arrays, results in zip(inputs, ours, strict=True)
        ]
        # XLA takes seconds to optimise what runs for microseconds here.
        references = jax.jit(all_expected, compiler_options={"xla_backend_optimization_level": 0})(
            wide
        )
    for case, results, values in zip(cases, ours, references, strict=True):
        for name, result, value in zip(("y", "dx", "dkernel"), results, values, strict=True):
            assert result.dtype == dtype
            np.testing.assert_allclose(
                np.asarray(result, np.float64),
                np.asarray(value),
                **TOLERANCES[dtype],
                err_msg=f"{name} of size, kernel, dilation, padding = {case}",
            )


def test_rematerialisation_and_scan_change_nothing():
    x, kernel = (jnp.asarray(a, jnp.float32) for a in random_inputs((6, 5), SQUARE))

    def twice(x, kernel, wrap):
        y, _ = lax.scan(lambda y, _: (wrap(depthwise_conv)(y, kernel), None), x, length=2)
        return jnp.sum(jnp.sin(y))

    def unrolled(x, kernel):
        rules = {"stride": 1, "dilation": 1, "padding": "same"}
        return jnp.sum(jnp.sin(reference(reference(x, kernel, **rules), kernel, **rules)))

    plain = jax.grad(unrolled, (0, 1))(x, kernel)
    saved = jax.jit(jax.grad(functools.partial(twice, wrap=jax.checkpoint), (0, 1)))(x, kernel)
    for a, b in zip(saved, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_batch_split_over_devices_stays_split(stride):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    x, kernel = (jnp.asarray(a, jnp.float32) for a in random_inputs((8, 7), SQUARE, images=16))
    step = jax.jit(
        functools.partial(gradients, functools.partial(depthwise_conv, stride=stride)),
        in_shardings=(split, whole),
        out_shardings=(split, split, whole),
    )
    program = step.lower(x, kernel).compile()
    text = program.as_text()
    for collective in ("all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
        assert collective not in text
    assert "all-reduce" in text  # of the kernel's gradient
    inputs = jax.device_put(x, split), jax.device_put(kernel, whole)
    function = functools.partial(reference, stride=stride, dilation=1, padding="same")
    for a, b in zip(program(*inputs), gradients(function, x, kernel), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("platform", "implementation", "is_convolution"),
    [
        ("cpu", "auto", False),
        ("cpu", "shift", False),
        ("cpu", "conv", True),
        ("tpu", "auto", True),
        ("tpu", "shift", False),
        ("cuda", "auto", True),
    ],
)
def test_each_platform_gets_its_lowering(platform, implementation, is_convolution):
    function = functools.partial(depthwise_conv, implementation=implementation)
    arguments = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((2, 8, 8, 4), (3, 3, 1, 4))]
    step = jax.jit(functools.partial(gradients, function))
    text = jax.export.export(step, platforms=[platform])(*arguments).mlir_module()
    # The output and both gradients.
    assert text.count("stablehlo.convolution") == (3 if is_convolution else 0)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 4, 4, 2), (3, 3, 2, 2)), {}, r"kernel \(3, 3, 2, 2\)"),
        (((1, 4, 4, 2), (3, 3, 1, 4)), {}, r"x has shape \(1, 4, 4, 2\)"),
        (((1, 4, 4, 2), (3, 3, 1, 2)), {"padding": "valid"}, "same, symmetric"),
        (((1, 4, 4, 2), (3, 3, 1, 2)), {"stride": 0}, "stride is 0"),
        (
            ((1, 4, 4, 2), (3, 3, 1, 2)),
            {"implementation": "im2col"},
            "auto, shift, conv",
        ),
        (((1, 1, 1, 2), (4, 4, 1, 2)), {"padding": "symmetric"}, "does not fit"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(shapes, options, message):
    # The function without its annotations' checks, as users run it.
    function = getattr(depthwise_conv, "__wrapped__", depthwise_conv)
    with pytest.raises(ValueError, match=message):
        function(*(jnp.zeros(shape, jnp.float32) for shape in shapes), **options)


def test_inputs_of_two_types_are_refused():
    with pytest.raises(TypeError, match="x is bfloat16 and kernel is float32"):
        depthwise_conv(jnp.zeros((1, 4, 4, 2), jnp.bfloat16), jnp.zeros((3, 3, 1, 2), jnp.float32))
