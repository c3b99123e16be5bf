"""An ONNX graph from an architecture's rows and weights: normalisation folded, channels first."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mobilenet.networks.architecture import Architecture
from mobilenet.networks.blocks import Layer
from mobilenet.ops.padding import explicit_padding, output_size

_OPSET = 17
_IR_VERSION = 8  # that of the ONNX releases with this opset


def build_graph(
    architecture: Architecture, params: dict[str, Any], batch_stats: dict[str, Any]
) -> onnx.ModelProto:
    """Returns the network in evaluation mode, from `images` to `logits`, both float32.

    `images` are [batch, 3, height, width] of `architecture.size`; the batch is free.

    Args:
      architecture: whose shortcuts are those of the papers, `bottleneck` or none.
      params: as `mobilenet.networks.functional.split_model` gives them.
      batch_stats: likewise.
    """
    graph = _Graph()
    x, size = "images", architecture.size
    for block in architecture.blocks:
        inputs = x
        for layer in block.layers:
            name = f"{block.name}/{layer.name}"
            kernel, bias = _fold(
                params[block.name][layer.name],
                batch_stats[block.name][layer.name]["norm"],
                architecture.norm_epsilon,
            )
            x = graph.convolution(name, layer, x, kernel, bias, size, architecture.padding)
            x = graph.activation(name, layer.activation, x)
            sizes = (layer.kernel_size, layer.stride, layer.dilation, architecture.padding)
            size = output_size(size[0], *sizes), output_size(size[1], *sizes)
        if block.shortcut == "bottleneck":
            x = graph.add("Add", f"{block.name}/shortcut", [x, inputs])
    x = graph.add("GlobalAveragePool", "pool", [x])
    x = graph.add("Flatten", "features", [x])
    weights = [
        graph.constant(f"logits/{name}", params["logits"][name]) for name in ("kernel", "bias")
    ]
    graph.add("Gemm", "logits", [x, *weights])
    return graph.model(architecture)


def _fold(
    params: dict[str, Any], statistics: dict[str, Any], epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel[out, in, height, width] and bias[out] of convolution and normalisation."""
    kernel, scale, bias, mean, var = (
        np.asarray(value, np.float64)
        for value in (
            params["kernel"],
            params["norm"]["scale"],
            params["norm"]["bias"],
            statistics["mean"],
            statistics["var"],
        )
    )
    factor = scale / np.sqrt(var + epsilon)
    return (kernel * factor).transpose(3, 2, 0, 1), bias - mean * factor


class _Graph:
    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._bounds = [self.constant("zero", 0.0), self.constant("six", 6.0)]

    def constant(self, name: str, value: Any) -> str:
        array = np.ascontiguousarray(value, np.float32).reshape(np.shape(value))
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, output: str, inputs: list[str], **attributes: Any) -> str:
        node = helper.make_node(operator, inputs, [output], name=output, **attributes)
        self._nodes.append(node)
        return output

    def convolution(
        self,
        name: str,
        layer: Layer,
        x: str,
        kernel: np.ndarray,
        bias: np.ndarray,
        size: tuple[int, int],
        padding: str,
    ) -> str:
        (top, bottom), (left, right) = (
            explicit_padding(side, layer.kernel_size, layer.stride, layer.dilation, padding)
            for side in size
        )
        weights = [self.constant(f"{name}/kernel", kernel), self.constant(f"{name}/bias", bias)]
        return self.add(
            "Conv",
            f"{name}/convolution",
            [x, *weights],
            group=layer.in_channels if layer.operator == "depthwise" else 1,
            kernel_shape=[layer.kernel_size] * 2,
            strides=[layer.stride] * 2,
            dilations=[layer.dilation] * 2,
            pads=[top, left, bottom, right],
        )

    def activation(self, name: str, activation: str, x: str) -> str:
        if activation == "relu6":
            return self.add("Clip", f"{name}/relu6", [x, *self._bounds])
        if activation == "relu":
            return self.add("Relu", f"{name}/relu", [x])
        return x

    def model(self, architecture: Architecture) -> onnx.ModelProto:
        shapes = {
            "images": ["batch", 3, *architecture.size],
            "logits": ["batch", architecture.num_classes],
        }
        images, logits = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        )
        graph = helper.make_graph(
            self._nodes, architecture.name, [images], [logits], self._constants
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
        )
