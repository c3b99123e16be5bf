"""The traced training step, kept on disk: a run that starts again does without tracing it.

JAX keeps what XLA compiled, and finds it by the traced program: seconds of Python at each start,
more than all else where the compiled one is there.
"""

import contextlib
import hashlib
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import flax
import jax
import jaxlib
import numpy as np
import optax
from jax import export

import mobilenet
from mobilenet.runs.state import TrainState
from mobilenet.runtime.compilation_cache import traced_programs_folder
from mobilenet.training.step import Batch, Metrics, TrainStep

_DIGEST_BYTES = hashlib.sha256().digest_size


class TracedStep:
    """A compiled training step that is traced at its first call, unless a start before this did.

    All starts run what `jax.export` made of the trace, the first one too: their bits are equal.
    Nothing is kept where compiled programs are not; by one of several processes, as some could find
    what others do not; or after this package was edited under the running process. A step takes
    batches of one shape.
    """

    def __init__(self, step: TrainStep, jit: Callable[..., Any], *facts: object):
        """Traces and reads nothing yet.

        Args:
          step: pure.
          jit: compiles a function of a state, or of its leaves, and a batch.
          *facts: whatever `step` depends on besides the source of this package, versions of
            libraries, JAX's settings, its devices and the shapes of the arguments. Their `str`
            says all about them.
        """
        self._step, self._jit, self._facts = step, jit, facts
        self._run: TrainStep | None = None

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if self._run is None:
            self._run = self._jit(self._find_or_trace(state, batch) or self._step)
        return self._run(state, batch)

    def lower(self, state: Any, batch: Any) -> jax.stages.Lowered:
        """As `jax.jit(step).lower`, for shapes; traces anew."""
        return self._jit(self._step).lower(state, batch)

    def _find_or_trace(self, state: TrainState, batch: Batch) -> TrainStep | None:
        """Returns the traced step; None if none is kept."""
        folder = traced_programs_folder() if jax.process_count() == 1 else None
        if folder is None or (source := _digest_of_source()) is None:
            return None
        leaves, tree = jax.tree.flatten(state)
        key = _key(source, *self._facts, tree, _shapes(leaves), _shapes(batch))
        path = folder / f"{key}.stablehlo"

        # JAX writes the structure of lists and dicts only, and not that of a state.
        def step(leaves: list[jax.Array], batch: Batch) -> tuple[list[jax.Array], Metrics]:
            state, metrics = self._step(jax.tree.unflatten(tree, leaves), batch)
            return jax.tree.leaves(state), metrics

        data = _read(path)
        if data is None:
            data = bytes(export.export(self._jit(step))(leaves, batch).serialize())
            _write(path, data)
        exported = export.deserialize(bytearray(data))

        def traced_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            leaves, metrics = exported.call(jax.tree.leaves(state), batch)
            return jax.tree.unflatten(tree, leaves), metrics

        return traced_step


def _digest_of_source() -> str | None:
    """Returns a digest of this package; None if its files are no longer those that run."""
    digest, root = hashlib.sha256(), pathlib.Path(mobilenet.__file__).parent
    with contextlib.suppress(FileNotFoundError):  # edited at this moment
        for path in sorted(root.rglob("*.py")):
            status = path.stat()
            # The time of any change, and not that of the content, which a copy takes along.
            if status.st_ctime > mobilenet.IMPORTED_AT:
                return None
            digest.update(f"{path.relative_to(root)} {status.st_size}\n".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()
    return None


def _key(*facts: object) -> str:
    """Returns the name of a program: whatever can change it changes the name."""
    versions = [module.__version__ for module in (jax, jaxlib, flax, optax, np)]
    settings = {k: str(v) for k, v in sorted(jax.config.values.items()) if "_cache_" not in k}
    devices = [(device.platform, device.device_kind) for device in jax.devices()]
    text = "\n".join(map(str, (versions, settings, devices, *facts)))
    return hashlib.sha256(text.encode()).hexdigest()


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)


def _read(path: pathlib.Path) -> bytes | None:
    """Returns what was written; None if it is not there, or not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return data if hashlib.sha256(data).digest() == digest else None


def _write(path: pathlib.Path, data: bytes) -> None:
    """Writes all or nothing; where that cannot be, the next start traces again."""
    # Two runs may write one file at a time.
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(hashlib.sha256(data).digest() + data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
