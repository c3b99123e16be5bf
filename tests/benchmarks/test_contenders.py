"""Which peers take part."""

import importlib.util
import pathlib

import pytest

import benchmarks
from benchmarks.contenders import CONTENDERS, choose_peers
from mobilenet.errors import UserError

_NO_TORCH = dict.fromkeys(("torch", "torch_compile"), "torchvision not installed")


@pytest.mark.parametrize(
    ("benchmark", "wanted", "chosen", "left_out"),
    [
        ("train_step", None, ["flax", "keras"], _NO_TORCH),
        ("inference", ["onnxruntime"], [], {"onnxruntime": "onnx and onnxruntime not installed"}),
        ("train_step", ["keras", "flax", "keras"], ["keras", "flax"], {}),
        ("train_step", [], [], {}),
    ],
)
def test_installed_peers_take_part_in_order_and_the_missing_are_named(
    monkeypatch, benchmark, wanted, chosen, left_out
):
    installed = {"keras", "tensorflow", "torch"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in installed or None)
    assert choose_peers(benchmark, wanted) == (chosen, left_out)


def test_a_peer_that_does_not_know_the_compute_type_is_left_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    chosen, left_out = choose_peers("inference", ["onnxruntime", "torch"], "bfloat16")
    assert chosen == ["torch"]
    assert left_out == {"onnxruntime": "it does not compute in bfloat16"}


@pytest.mark.parametrize("name", ["mxnet", "mobilenet", "onnxruntime"])
def test_an_unknown_peer_is_named_with_the_known_ones(name):
    with pytest.raises(UserError, match=rf"no peer '{name}'; choose from flax, keras, torch, torc"):
        choose_peers("train_step", [name])


def test_every_builder_exists():
    # Read, not imported: most of them need a peer.
    folder = pathlib.Path(benchmarks.__file__).parent
    for peers in CONTENDERS.values():
        for contender in peers.values():
            module, function = contender.builder.split(":")
            assert f"def {function}(workload: " in (folder / f"{module}.py").read_text()
