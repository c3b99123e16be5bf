"""PyTorch with channels last, eager and compiled: torchvision's MobileNetV2, and V1 from our rows.

torchvision has no MobileNetV1.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch._inductor.config
import torchvision

from benchmarks.timing import Turn, repeat_steps
from benchmarks.workload import StepWorkload
from mobilenet.networks.architecture import Architecture


def train(workload: StepWorkload) -> Turn:
    return _train(workload, lambda network: network)


def train_compiled(workload: StepWorkload) -> Turn:
    return _train(workload, torch.compile)


def infer(workload: StepWorkload) -> Turn:
    return _infer(workload, lambda network: network)


def infer_compiled(workload: StepWorkload) -> Turn:
    # Folds normalisation into the weights and lays them out ahead; PyTorch's advice for CPUs.
    torch._inductor.config.freezing = True
    return _infer(workload, torch.compile)


def build_network(architecture: Architecture) -> torch.nn.Module:
    """Returns the network with PyTorch's symmetric padding, in training mode."""
    if architecture.name == "mobilenet_v2":
        return torchvision.models.mobilenet_v2(
            num_classes=architecture.num_classes, width_mult=architecture.width, dropout=0.0
        )
    modules: list[torch.nn.Module] = []
    for layer in (layer for block in architecture.blocks for layer in block.layers):
        modules += [
            torch.nn.Conv2d(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,
                layer.stride,
                padding=layer.kernel_size // 2,
                groups=layer.in_channels if layer.operator == "depthwise" else 1,
                bias=False,
            ),
            torch.nn.BatchNorm2d(
                layer.out_channels,
                eps=architecture.norm_epsilon,
                momentum=1 - architecture.norm_momentum,
            ),
            torch.nn.ReLU6(inplace=True),
        ]
    return torch.nn.Sequential(
        *modules,
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(architecture.feature_channels, architecture.num_classes),
    )


def _train(workload: StepWorkload, compile_network: Callable[[Any], Any]) -> Turn:
    network = _prepare(workload).train()
    forward = compile_network(network)
    images, labels = _batch(workload)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(workload):
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return repeat_steps(step)


def _infer(workload: StepWorkload, compile_network: Callable[[Any], Any]) -> Turn:
    forward = compile_network(_prepare(workload).eval())
    images, _ = _batch(workload)

    def step() -> None:
        with torch.inference_mode(), _autocast(workload):
            forward(images)

    return repeat_steps(step)


def _prepare(workload: StepWorkload) -> torch.nn.Module:
    torch.set_num_threads(workload.threads)
    torch.manual_seed(0)
    network = build_network(workload.architecture())
    return network.to(memory_format=torch.channels_last)


def _batch(workload: StepWorkload) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = map(torch.from_numpy, workload.random_batch())
    # A view: the channels stay last in memory.
    return images.permute(0, 3, 1, 2), labels


def _autocast(workload: StepWorkload) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=workload.compute_dtype == "bfloat16")
