"""ONNX Runtime gives our logits."""

import jax
import numpy as np
import pytest

from mobilenet.factory import create_model
from mobilenet.networks.architecture import V1_ROWS, V2_ROWS
from mobilenet.networks.functional import split_model

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
onnx = pytest.importorskip("onnx", reason="ONNX is not installed")

from mobilenet.export.onnx import build_graph  # noqa: E402


def randomize(tree, rng):
    """Every leaf of an initialised tree times a number around 1, plus a number around 0."""
    return jax.tree.map(
        lambda x: (x * rng.uniform(0.8, 1.2, x.shape) + rng.uniform(-0.05, 0.05, x.shape)).astype(
            np.float32
        ),
        jax.tree.map(np.asarray, tree),
    )


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(
    ("name", "resolution", "activation"),
    # With SAME an odd size is padded alike on both sides, an even one is not.
    [("mobilenet_v1", 33, "relu"), ("mobilenet_v2", 40, "relu6")],
)
def test_logits_equal_ours_on_random_weights(name, resolution, activation, padding, monkeypatch):
    # With and without an expansion, a stride and a shortcut; the blocks left out repeat these.
    monkeypatch.setattr("mobilenet.networks.architecture.V1_ROWS", V1_ROWS[:5])
    monkeypatch.setattr("mobilenet.networks.architecture.V2_ROWS", (*V2_ROWS[:3], V2_ROWS[-1]))
    model = create_model(
        name,
        num_classes=7,
        width=0.35,
        resolution=resolution,
        activation=activation,
        padding=padding,
        dropout=0.0,
    )
    functions, params, batch_stats = split_model(model)
    rng = np.random.default_rng(0)
    params, batch_stats = randomize(params, rng), randomize(batch_stats, rng)
    images = rng.standard_normal((2, resolution, resolution, 3), dtype=np.float32)
    expected = np.asarray(jax.jit(functions.evaluate)(params, batch_stats, images))

    graph = build_graph(model.architecture, params, batch_stats)
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"images": images.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
