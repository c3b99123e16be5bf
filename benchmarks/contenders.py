"""Who takes part in which benchmark, and which installed modules that needs."""

import dataclasses
import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from benchmarks.timing import Turn
from mobilenet.errors import UserError

OURS = "mobilenet"


@dataclasses.dataclass(frozen=True)
class Contender:
    """A way to run a workload."""

    builder: str  # "module:function" of this package, from a workload to a Turn
    modules: tuple[str, ...] = ()  # without which it cannot run
    compute_dtypes: tuple[str, ...] = ("float32", "bfloat16")

    def build(self, workload: Any) -> Turn:
        """Builds and warms up; imports what it needs."""
        module, _, function = self.builder.partition(":")
        return getattr(importlib.import_module(f"{__package__}.{module}"), function)(workload)

    def obstacle(self, compute_dtype: str) -> str | None:
        """Returns why it cannot run here, or None."""
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if absent:
            return f"{' and '.join(absent)} not installed"
        if compute_dtype not in self.compute_dtypes:
            return f"it does not compute in {compute_dtype}"
        return None


_TORCH = ("torch", "torchvision")
_KERAS = ("keras", "tensorflow")

CONTENDERS: dict[str, dict[str, Contender]] = {
    "train_step": {
        OURS: Contender("jax_contenders:train_ours"),
        "flax": Contender("jax_contenders:train_flax"),
        "keras": Contender("keras_contenders:train", _KERAS),
        "torch": Contender("torch_contenders:train", _TORCH),
        "torch_compile": Contender("torch_contenders:train_compiled", _TORCH),
    },
    "inference": {
        OURS: Contender("jax_contenders:infer_ours"),
        "flax": Contender("jax_contenders:infer_flax"),
        "keras": Contender("keras_contenders:infer", _KERAS),
        "torch": Contender("torch_contenders:infer", _TORCH),
        "torch_compile": Contender("torch_contenders:infer_compiled", _TORCH),
        "onnxruntime": Contender(
            "onnx_contender:infer", ("onnx", "onnxruntime"), compute_dtypes=("float32",)
        ),
    },
    "input": {
        OURS: Contender("our_input:read"),
        "tfdata": Contender("tfdata_contender:read", ("tensorflow",)),
    },
}


def choose_peers(
    benchmark: str, wanted: Sequence[str] | None, compute_dtype: str = "float32"
) -> tuple[list[str], dict[str, str]]:
    """Returns the peers that can run here, and why the others cannot.

    Args:
      benchmark: a key of `CONTENDERS`.
      wanted: names of peers; None is all of the benchmark's.
      compute_dtype: what they are to compute in.

    Raises:
      UserError: a peer that the benchmark does not have.
    """
    known = {name: peer for name, peer in CONTENDERS[benchmark].items() if name != OURS}
    chosen, left_out = [], {}
    for name in dict.fromkeys(known if wanted is None else wanted):
        if name not in known:
            raise UserError(
                f"--peers: {benchmark} has no peer {name!r}; choose from {', '.join(known)}."
            )
        obstacle = known[name].obstacle(compute_dtype)
        if obstacle:
            left_out[name] = obstacle
        else:
            chosen.append(name)
    return chosen, left_out
