"""MobileNetV1 (arXiv 1704.04861) and MobileNetV2 (arXiv 1801.04381) in JAX."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobilenet.factory import create_model, list_models
    from mobilenet.networks.architecture import create_architecture
    from mobilenet.networks.cost import count_cost

# Where each stands. They are imported when they are asked for: JAX takes a second.
_ROOMS = {
    "create_architecture": "mobilenet.networks.architecture",
    "create_model": "mobilenet.factory",
    "count_cost": "mobilenet.networks.cost",
    "list_models": "mobilenet.factory",
}

__all__ = ["count_cost", "create_architecture", "create_model", "list_models"]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'mobilenet' has no attribute {name!r}")
    return getattr(importlib.import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
