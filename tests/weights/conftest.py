"""Tests against the libraries that publish weights run on demand: pytest -m parity."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "parity: compares with other libraries; run with -m parity")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "parity" in config.option.markexpr:
        return
    unwanted = [item for item in items if item.get_closest_marker("parity")]
    items[:] = [item for item in items if item not in unwanted]
    config.hook.pytest_deselected(items=unwanted)
