"""Compiles the steps of a config for a slice of TPUs, as `train.py` would on its hosts."""

import dataclasses
import re
import time
import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from mobilenet.ahead.hlo import Collective, Program
from mobilenet.ahead.topology import Slice
from mobilenet.config import size_of, train_size
from mobilenet.data.datasets import Split, open_split
from mobilenet.errors import UserError
from mobilenet.runs.state import TrainState
from mobilenet.runtime.mesh import make_mesh
from mobilenet.tasks.task import Task
from mobilenet.training.experiment import Experiment, build_experiment
from mobilenet.training.initial_weights import settle_config
from mobilenet.training.step import TrainStep

STEPS = ("train", "eval")

# Of a config and its experiment: another training step, and the shapes of its state.
BuildStep = Callable[[ml_collections.ConfigDict, Experiment], tuple[TrainStep, TrainState]]


@dataclasses.dataclass(frozen=True)
class StepCost:
    """What a compiled step needs of one chip; bytes and operations are those of one step.

    Attributes:
      images: of one chip, in a step.
      compile_seconds: on this machine, without tracing.
      arguments, temporaries, code: bytes of HBM; results share the memory of the arguments or are
        among the temporaries of `total`.
      total: bytes of HBM at once.
      flops: XLA's count.
      bytes_accessed: XLA's count, in which all memories of the chip are one, and a tensor that is
        fetched into the chip before it is read counts for each of these.
      hbm_traffic: bytes read from and written to HBM alone (`hlo.Program.hbm_traffic`).
      collectives: by kind.
    """

    images: int
    compile_seconds: float
    arguments: int
    temporaries: int
    code: int
    total: int
    flops: float
    bytes_accessed: float
    hbm_traffic: int
    collectives: Mapping[str, Collective]


def set_batch_per_chip(config: ml_collections.ConfigDict, images: int, chips: int) -> None:
    """Sets both batch sizes to so many images a chip; what refers to them follows."""
    config.batch_size = config.evaluation.batch_size = images * chips


def compile_steps(
    config: ml_collections.ConfigDict,
    chips: Slice,
    steps: tuple[str, ...],
    announce: Callable[[str], None],
    baselines: Mapping[str, BuildStep] = types.MappingProxyType({}),
) -> dict[str, StepCost]:
    """Compiles steps for a slice; no data and no weights are read.

    Args:
      config: complete, as those of `configs/`. Its dataset must be a known one, or the config must
        say how many classes and images to assume (`data.fake_classes`, `data.fake_examples`).
      chips: to compile for.
      steps: of `STEPS`.
      announce: is told what begins, as compiling takes minutes.
      baselines: training steps of others to compile beside them, by name.

    Raises:
      UserError: the config cannot work, or a step does not fit into the memory of a chip.
    """
    config = settle_config(config).unlock()
    config.data.fake = True
    split = open_split(config.data, config.data.train_split)
    mesh = make_mesh(chips.devices)
    experiment = build_experiment(config.lock(), split, mesh)
    # A program from the cache took no time to compile, and one for other devices cannot be read.
    jax.config.update("jax_enable_compilation_cache", False)
    costs = {}
    for step in (*steps, *baselines):
        announce(f"compiling the step {step!r} for {chips.name}")
        lowered, images = _lower(step, config, experiment, split, baselines.get(step))
        costs[step] = _compile(step, lowered, images // mesh.size, chips)
    return costs


def _lower(
    step: str,
    config: ml_collections.ConfigDict,
    experiment: Experiment,
    split: Split,
    build: BuildStep | None,
) -> tuple[Any, int]:
    """Returns the step for shapes alone, and the images in its global batch."""
    network, state = experiment.network, experiment.abstract_state
    run: Any
    arguments: tuple[Any, ...]
    if step == "eval":
        run, arguments = network.eval_step, state.evaluated
        images, size = config.evaluation.batch_size, size_of(config.model.resolution)
    else:
        run, state = build(config, experiment) if build else (experiment.train_step, state)
        arguments, images = (state,), config.batch_size
        size = train_size(config)
    batch = _abstract_batch(network.task, split, images, size)
    return run.lower(*arguments, batch), images


def _abstract_batch(
    task: Task, split: Split, images: int, size: tuple[int, int]
) -> dict[str, jax.ShapeDtypeStruct]:
    of_one = {
        "images": np.empty((*size, 3), np.uint8),
        "mask": np.float32(0),
        **task.target(split, None, None),
    }
    return {
        key: jax.ShapeDtypeStruct((images, *np.shape(value)), np.asarray(value).dtype)
        for key, value in of_one.items()
    }


def _compile(step: str, lowered: Any, images: int, chips: Slice) -> StepCost:
    started = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        message = str(error)
        if "RESOURCE_EXHAUSTED" not in message:
            raise
        raise UserError(
            f"The step {step!r} with {images} images a chip does not fit {chips.name}: "
            f"{_what_is_missing(message)}"
        ) from error
    seconds = time.perf_counter() - started
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    program = Program(compiled.as_text())
    fresh = memory.output_size_in_bytes - memory.alias_size_in_bytes
    arguments, temporaries = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    code = memory.generated_code_size_in_bytes
    return StepCost(
        images=images,
        compile_seconds=seconds,
        arguments=arguments,
        temporaries=temporaries,
        code=code,
        total=arguments + temporaries + code + fresh,
        flops=cost["flops"],
        bytes_accessed=cost["bytes accessed"],
        hbm_traffic=program.hbm_traffic(),
        collectives=program.collectives(),
    )


def _what_is_missing(message: str) -> str:
    """Says what memory is too small for a step, and what to do, from an error of XLA."""
    if found := re.search(r"Used (\S+) of (\S+) vmem", message):
        return (
            f"XLA wants {found[1]} of {found[2]} of the chip's own memory. "
            "Set config.fused_expansions=False."
        )
    # One is found before the program is laid out in memory, the other then.
    found = re.search(r"\((\S+)\) exceeds available HBM \((\S+)\)", message)
    if found := found or re.search(r"Used (\S+) of (\S+) hbm", message):
        return f"XLA wants {found[1]} of {found[2]} HBM. Take fewer images a chip."
    return f"{message.splitlines()[0]} Take fewer images a chip."
