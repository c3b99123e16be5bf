"""Times a training step of this package and of its peers, in turn within one run.

python scripts/benchmark.py train_step --model=mobilenet_v2 --resolution=224 --batch_size=32
python scripts/benchmark.py train_step --resolution=32 --steps=20 --peers=flax --format=json

A step is forward, backward and SGD with momentum on a fixed batch of random images; dropout and
augmentation are off. Every contender is built and warmed up in a fresh process of its own, which
sleeps while another one is timed, so all have the same threads and the same disturbances. A ratio
compares two neighbouring measurements of one round: load that comes and goes hits both.

For CPU and GPU; a TPU serves one process at a time.
"""

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any

from absl import app, flags, logging

from mobilenet.errors import UserError
from mobilenet.models import create_architecture

_MODEL = flags.DEFINE_string("model", "mobilenet_v2", "Network: mobilenet_v1 or mobilenet_v2.")
_WIDTH = flags.DEFINE_float("width", 1.0, "Width multiplier.")
_RESOLUTION = flags.DEFINE_integer("resolution", 224, "Pixels, the side of the square input.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a step.", 1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of every contender.", 1)
_STEPS = flags.DEFINE_integer("steps", 1, "Steps in a measurement.", 1)
_DTYPE = flags.DEFINE_enum("compute_dtype", "float32", ["float32", "bfloat16"], "Compute type.")
_PEERS = flags.DEFINE_list("peers", ["flax"], "Contenders to time beside ours.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "What to print.")

_MOMENTUM = 0.9
_LEARNING_RATE = 0.01
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
_WARM_UP_STEPS = 2

Step = Callable[[], None]  # runs one training step to its end


@dataclasses.dataclass(frozen=True)
class Workload:
    """What every contender computes."""

    model: str
    width: float
    resolution: int
    batch_size: int
    compute_dtype: str
    steps: int  # in a measurement

    def architecture_knobs(self) -> dict[str, Any]:
        return {"width": self.width, "resolution": self.resolution, "dropout": 0.0}


@dataclasses.dataclass(frozen=True)
class Contender:
    """A way to run the workload, and the modules without which it cannot."""

    modules: tuple[str, ...]
    build: Callable[[Workload], Step]


def build_ours(workload: Workload) -> Step:
    """Our network, as `train.py` runs it."""
    import jax
    import jax.numpy as jnp

    from mobilenet.functional import split_model
    from mobilenet.models import create_model

    model = create_model(
        workload.model, dtype=jnp.dtype(workload.compute_dtype), **workload.architecture_knobs()
    )
    functions, params, batch_stats = split_model(model)

    def train(params: Any, batch_stats: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        return functions.train(params, batch_stats, images, jax.random.key(0))

    return _build_jax_step(workload, train, params, batch_stats)


def build_flax(workload: Workload) -> Step:
    """The same rows as one writes them with Flax's own layers, and XLA's grouped convolution."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    architecture = create_architecture(workload.model, **workload.architecture_knobs())
    dtype = jnp.dtype(workload.compute_dtype)
    rngs = nnx.Rngs(0)
    layers: nnx.List = nnx.List()
    for layer in (layer for block in architecture.blocks for layer in block.layers):
        convolution = nnx.Conv(
            layer.in_channels,
            layer.out_channels,
            (layer.kernel_size, layer.kernel_size),
            strides=layer.stride,
            feature_group_count=layer.in_channels if layer.operator == "depthwise" else 1,
            use_bias=False,
            dtype=dtype,
            rngs=rngs,
        )
        norm = nnx.BatchNorm(
            layer.out_channels,
            momentum=architecture.norm_momentum,
            epsilon=architecture.norm_epsilon,
            dtype=dtype,
            rngs=rngs,
        )
        layers.append(nnx.Sequential(convolution, norm))
    layers.append(nnx.Linear(architecture.feature_channels, architecture.num_classes, rngs=rngs))
    graph, params = nnx.graphdef(layers), nnx.state(layers, nnx.Param)
    batch_stats = nnx.state(layers, nnx.BatchStat)

    def train(params: Any, batch_stats: Any, images: jax.Array) -> tuple[jax.Array, Any]:
        network = nnx.merge(graph, params, batch_stats, copy=True)
        modules, x = iter(network), images
        for block in architecture.blocks:
            inputs = x
            for layer in block.layers:
                x = next(modules)(x)
                x = x if layer.activation == "linear" else jax.nn.relu6(x)
            x = x + inputs if block.shortcut == "bottleneck" else x
        logits = next(modules)(x.astype(jnp.float32).mean((1, 2)))
        return logits, nnx.state(network, nnx.BatchStat)

    return _build_jax_step(workload, train, params, batch_stats)


def _build_jax_step(
    workload: Workload, train: Callable[..., tuple[Any, Any]], params: Any, batch_stats: Any
) -> Step:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    optimizer = optax.sgd(_LEARNING_RATE, _MOMENTUM)
    images, labels = random_batch(workload)
    images, labels = jnp.asarray(images), jnp.asarray(labels, np.int32)

    def loss(params: Any, batch_stats: Any) -> tuple[jax.Array, Any]:
        logits, batch_stats = train(params, batch_stats, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), batch_stats

    def step(params: Any, batch_stats: Any, opt_state: Any) -> tuple[Any, Any, Any]:
        gradient, batch_stats = jax.grad(loss, has_aux=True)(params, batch_stats)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), batch_stats, opt_state

    compiled = jax.jit(step, donate_argnums=(0, 1, 2))
    state = (params, batch_stats, optimizer.init(params))

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(*state))

    return run


def random_batch(workload: Workload) -> tuple[Any, Any]:
    """Returns float32 images[batch, side, side, 3] and int64 labels[batch], always the same."""
    import numpy as np

    rng = np.random.default_rng(0)
    side = workload.resolution
    images = rng.standard_normal((workload.batch_size, side, side, 3), dtype=np.float32)
    return images, rng.integers(0, 1000, workload.batch_size)


OURS = "mobilenet"
CONTENDERS = {
    OURS: Contender((), build_ours),
    "flax": Contender(("flax", "optax"), build_flax),
}


def serve(name: str, workload: Workload, connection: Connection) -> None:
    """Builds a contender, warms it up, says so, and sends a time for every request."""
    step = CONTENDERS[name].build(workload)
    for _ in range(_WARM_UP_STEPS):
        step()
    connection.send(None)
    while connection.recv():
        start = time.perf_counter()
        for _ in range(workload.steps):
            step()
        connection.send((time.perf_counter() - start) / workload.steps)


def measure(names: Iterable[str], workload: Workload, rounds: int) -> dict[str, list[float]]:
    """Returns seconds per step of every contender, one number for each round.

    Raises:
      UserError: the process of a contender died.
    """
    # Two JAX processes on one GPU must not both reserve most of its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    context = multiprocessing.get_context("spawn")
    connections = {}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    name = ""
    try:
        for name in seconds:
            connections[name], other_end = context.Pipe()
            context.Process(target=serve, args=(name, workload, other_end), daemon=True).start()
            other_end.close()
            connections[name].recv()
        for _ in range(rounds):
            for name, connection in connections.items():
                connection.send(True)
                seconds[name].append(connection.recv())
            line = ", ".join(f"{name} {times[-1]:.3f} s" for name, times in seconds.items())
            print(line, file=sys.stderr, flush=True)
    except (EOFError, ConnectionError) as error:
        raise UserError(f"The process of {name!r} died; its own message is above.") from error
    finally:
        for connection in connections.values():
            with contextlib.suppress(ConnectionError):
                connection.send(False)
    return seconds


def summarize(workload: Workload, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Returns images per second (median over rounds), and ours over each peer's by round."""
    ours = seconds[OURS]
    ratios = {}
    for name, times in seconds.items():
        if name != OURS:
            rounds = [theirs / own for own, theirs in zip(ours, times, strict=True)]
            ratios[name] = {
                "median": statistics.median(rounds),
                "min": min(rounds),
                "max": max(rounds),
                "rounds": rounds,
            }
    return {
        "seconds_per_step": seconds,
        "images_per_second": {
            name: workload.batch_size / statistics.median(times) for name, times in seconds.items()
        },
        "ratio_to": ratios,
    }


def choose(peers: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Returns the contenders that can run here, ours first, and why the others cannot.

    Raises:
      UserError: a peer that nobody knows.
    """
    names, missing = [OURS], {}
    for peer in peers:
        if peer not in CONTENDERS or peer == OURS:
            known = ", ".join(sorted(set(CONTENDERS) - {OURS}))
            raise UserError(f"--peers: {peer!r} is unknown; choose from {known}.")
        absent = [m for m in CONTENDERS[peer].modules if importlib.util.find_spec(m) is None]
        if absent:
            missing[peer] = f"{', '.join(absent)} not installed"
        else:
            names.append(peer)
    return names, missing


def describe_machine() -> dict[str, Any]:
    """Returns hardware, versions and the threads that every contender gets."""
    import jax

    cpu_info = pathlib.Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    has_affinity = hasattr(os, "sched_getaffinity")
    return {
        "cpu": models[0] if models else platform.processor(),
        "threads": len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count(),
        "devices": [device.device_kind for device in jax.devices()],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def format_table(report: dict[str, Any]) -> str:
    machine, ratios = report["machine"], report["ratio_to"]
    lines = [
        ", ".join(f"{key} {value}" for key, value in report["workload"].items()),
        f"{machine['cpu']}, {machine['threads']} threads, devices {', '.join(machine['devices'])}",
        ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        "",
        f"{'':<12}{'images/s':>10}{'s/step':>10}   ours / peer, median (min to max)",
    ]
    for name, speed in report["images_per_second"].items():
        seconds = statistics.median(report["seconds_per_step"][name])
        line = f"{name:<12}{speed:>10.2f}{seconds:>10.3f}"
        if name in ratios:
            ratio = ratios[name]
            line += f"   {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
        lines.append(line)
    lines += [f"{name}: left out, {reason}" for name, reason in report["missing"].items()]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    logging.set_verbosity(logging.WARNING)
    try:
        _run(arguments[1:])
    except UserError as error:
        sys.exit(f"error: {error}")


def _run(benchmarks: list[str]) -> None:
    if benchmarks != ["train_step"]:
        given = " ".join(benchmarks) or "nothing"
        raise UserError(f"The first argument must be train_step, the one benchmark, not {given}.")
    workload = Workload(
        model=_MODEL.value,
        width=_WIDTH.value,
        resolution=_RESOLUTION.value,
        batch_size=_BATCH_SIZE.value,
        compute_dtype=_DTYPE.value,
        steps=_STEPS.value,
    )
    create_architecture(workload.model, **workload.architecture_knobs())
    names, missing = choose(_PEERS.value)
    seconds = measure(names, workload, _ROUNDS.value)
    report = {
        "workload": dataclasses.asdict(workload),
        "machine": describe_machine(),
        **summarize(workload, seconds),
        "missing": missing,
    }
    print(json.dumps(report) if _FORMAT.value == "json" else format_table(report))


if __name__ == "__main__":
    app.run(main)
