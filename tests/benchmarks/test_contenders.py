"""Which peers take part."""

import importlib.util
import pathlib

import pytest

import benchmarks
from benchmarks.contenders import CONTENDERS, choose_peers
from mobilenet.errors import UserError


@pytest.fixture
def installed(monkeypatch):
    """Makes exactly these modules look installed."""
    modules = {"keras", "tensorflow", "torch"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in modules or None)


@pytest.mark.usefixtures("installed")
def test_all_installed_peers_take_part_and_the_missing_are_named():
    chosen, left_out = choose_peers("train_step", None)
    assert chosen == ["flax", "keras"]
    assert left_out == {
        "torch": "torchvision not installed",
        "torch_compile": "torchvision not installed",
    }


@pytest.mark.usefixtures("installed")
def test_all_missing_modules_of_a_peer_are_named():
    _, left_out = choose_peers("inference", ["onnxruntime"])
    assert left_out == {"onnxruntime": "onnx and onnxruntime not installed"}


@pytest.mark.usefixtures("installed")
def test_wanted_peers_come_in_their_order_and_once():
    assert choose_peers("train_step", ["keras", "flax", "keras"]) == (["keras", "flax"], {})
    assert choose_peers("train_step", []) == ([], {})


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
