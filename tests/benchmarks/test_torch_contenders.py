"""PyTorch's networks have the published numbers of parameters."""

import csv
import pathlib

import pytest

from mobilenet.networks.architecture import ARCHITECTURES

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")

from benchmarks import torch_contenders  # noqa: E402

with (pathlib.Path(__file__).parents[1] / "golden" / "counts.csv").open() as file:
    COUNTS = [
        row
        for row in csv.DictReader(file)
        if not row["knobs"] and (row["resolution"], row["num_classes"]) == ("224", "1000")
    ]


@pytest.mark.parametrize("row", COUNTS, ids=lambda row: f"{row['model']}-{row['width']}")
def test_parameters_equal_the_published_count(row):
    architecture = ARCHITECTURES[row["model"]](width=float(row["width"]))
    network = torch_contenders.build_network(architecture)
    assert sum(parameter.numel() for parameter in network.parameters()) == int(row["params"])


@pytest.mark.parametrize("model", ["mobilenet_v1", "mobilenet_v2"])
def test_the_last_features_are_a_32nd_of_the_input(model):
    architecture = ARCHITECTURES[model](width=0.25, resolution=64, num_classes=5)
    network = torch_contenders.build_network(architecture).eval()
    shapes = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda *args: shapes.append(tuple(args[2].shape)))
    with torch.inference_mode():
        logits = network(torch.zeros(2, 3, 64, 64))
    assert logits.shape == (2, 5)
    assert shapes[-1] == (2, architecture.feature_channels, 2, 2)
