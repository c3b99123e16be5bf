"""The record of a start names versions, devices and code, and no host."""

import importlib.metadata
import json
import platform
import socket
import subprocess

import jax

from mobilenet.runtime.environment import describe_checkout, describe_environment


def test_names_versions_devices_and_command():
    record = describe_environment(["train.py", "--workdir=runs/a"])
    assert record["command"] == ["train.py", "--workdir=runs/a"]
    assert record["versions"]["python"] == platform.python_version()
    for package in ("jax", "orbax-checkpoint", "tensorflow-datasets"):
        assert record["versions"][package] == importlib.metadata.version(package)
    assert record["devices"]["count"] == jax.device_count() == 8
    assert record["devices"]["platform"] == "cpu"
    assert record["time"].endswith("+00:00")
    assert record["cpu"]["cores"] >= 1


def test_survives_json_and_holds_no_host_name(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "a-very-secret-host")
    monkeypatch.setattr(platform, "node", lambda: "a-very-secret-host")
    record = describe_environment(["train.py"])
    text = json.dumps(record)
    assert json.loads(text) == record
    assert "a-very-secret-host" not in text


def _git(folder, *arguments):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, timeout=30)


def test_a_checkout_has_a_commit_and_may_be_dirty(tmp_path):
    _git(tmp_path, "init", "--quiet")
    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("1")
    # An installed package below a checkout, which does not track it.
    assert describe_checkout(package) is None
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message=first")
    clean = describe_checkout(package)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (package / "code.py").write_text("2")
    assert describe_checkout(package) == {"commit": clean["commit"], "dirty": True}


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert describe_checkout(tmp_path) is None
