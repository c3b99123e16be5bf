"""The face of the package: what it offers, and when it imports it."""

import subprocess
import sys

import pytest

import mobilenet
from mobilenet.factory import list_models
from mobilenet.networks.architecture import create_architecture


def test_every_listed_model_can_be_made():
    names = list_models()
    assert len(names) == 10
    assert {"mobilenet_v1_025", "mobilenet_v2_140"} <= set(names)
    for name in names:
        assert create_architecture(name).width == int(name[-3:]) / 100


def test_what_the_package_offers():
    assert mobilenet.list_models is list_models
    assert mobilenet.count_cost(mobilenet.create_architecture("mobilenet_v1")).params == 4_231_976
    assert set(mobilenet.__all__) <= set(dir(mobilenet))
    with pytest.raises(AttributeError, match="has no attribute 'create_modle'"):
        _ = mobilenet.create_modle


def test_importing_the_package_imports_nothing_else():
    code = "import sys, mobilenet; print([m for m in ('jax', 'flax', 'numpy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
