"""The training loop: one run from its config to its result, resumed wherever it was killed."""

import contextlib
import functools
import math
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections

from mobilenet.data.datasets import Split, check_is_complete, open_split
from mobilenet.data.of_config import check_batches, eval_batches, train_batches
from mobilenet.errors import UserError
from mobilenet.evaluation.evaluate import Interrupted, evaluate
from mobilenet.networks.cost import count_cost
from mobilenet.runs.checkpoint import Checkpoints, has_checkpoint
from mobilenet.runs.json_files import finite_or_none
from mobilenet.runs.metrics_file import read_metrics, read_scores
from mobilenet.runs.reporting import Reporter
from mobilenet.runs.run_directory import start_run, write_result
from mobilenet.runs.state import TrainState
from mobilenet.runtime.agreement import agreed, from_first, is_first
from mobilenet.runtime.mesh import replicated, to_devices
from mobilenet.runtime.signals import stop_requested
from mobilenet.training.experiment import Experiment, build_experiment
from mobilenet.training.initial_weights import load_initial_weights, settle_config
from mobilenet.training.step import Metrics


class Stopped(Exception):
    """A signal ended the run before its end; the message says how to go on."""


def train(config: ml_collections.ConfigDict, workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """Trains to the end, from the last checkpoint of `workdir` if there is one.

    Args:
      config: complete, as those of `configs/`.
      workdir: the run directory (see `mobilenet.runs.run_directory`).

    Returns:
      What result.json holds: the accuracy of the last step's weights on the evaluation split.

    Raises:
      Stopped: SIGTERM or SIGINT arrived; everything up to the step it arrived in is saved. Of
        several processes all stop at the same step if it arrived in any.
      UserError: the config or the machine is at fault, or the loss is not finite.
    """
    config = settle_config(config)
    with stop_requested() as stop:
        # All this before the directory, which a config that cannot work should not occupy.
        train_split = open_split(config.data, config.data.train_split)
        eval_split = open_split(config.data, config.data.eval_split)
        if eval_split.class_names != train_split.class_names:
            raise UserError(
                f"The splits {train_split.split} and {eval_split.split} of {config.data.name} "
                "have different classes: check config.data."
            )
        check_is_complete(eval_split)
        experiment = build_experiment(config, train_split)
        check_batches(config, train_split, eval_split, experiment.network.task.target)

        @functools.cache
        def first_state() -> TrainState:
            return experiment.make_state(*load_initial_weights(config, experiment.network))

        if not from_first(has_checkpoint(workdir)):
            first_state()
        with start_run(workdir, config, train_split.class_names) as directory:
            run = _Run(config, directory, experiment, train_split, eval_split, agreed(stop))
            return run.run(first_state)


class _Run:
    def __init__(
        self,
        config: ml_collections.ConfigDict,
        directory: pathlib.Path,
        experiment: Experiment,
        train_split: Split,
        eval_split: Split,
        stop: Callable[[], bool],
    ):
        self._config = config
        self._directory = directory
        self._experiment = experiment
        self._train_split = train_split
        self._eval_split = eval_split
        self._stop = stop
        # Of the evaluations so far, by step; a checkpoint may exist without one.
        self._scores: dict[int, float] = {}
        self._checkpoints = Checkpoints(directory, keep=config.checkpoint.keep, scores=self._scores)

    def run(self, first_state: Callable[[], TrainState]) -> dict[str, Any]:
        """Trains to the end, from the last checkpoint or, without one, from the first state."""
        experiment, config = self._experiment, self._config
        start = self._checkpoints.last_whole() or 0
        if start:
            whole = replicated(experiment.network.mesh)
            state = self._checkpoints.restore(start, experiment.abstract_state, whole)
        else:
            state = first_state()
        reporter = Reporter(
            self._directory,
            start_step=start,
            total_steps=experiment.total_steps,
            batch_size=config.batch_size,
            tensorboard=config.log.tensorboard,
        )
        try:
            with reporter:
                # The first process has just dropped what a killed run wrote too much.
                best = experiment.network.task.best
                scores = read_scores(self._directory, best) if is_first() else {}
                self._scores.update(from_first(list(scores.items())))
                if start and experiment.is_eval_step(start) and start not in self._scores:
                    # A signal had ended the evaluation of this step.
                    self._evaluate(start, state, reporter)
                    self._end_if_asked(start)
                if start < experiment.total_steps:
                    self._train(start, state, reporter)
        finally:
            self._checkpoints.close()
        result = self._summarize() if is_first() else None
        result = from_first(result)
        write_result(self._directory, result)
        return result

    def _train(self, start: int, state: TrainState, reporter: Reporter) -> None:
        experiment, config = self._experiment, self._config
        mesh, target = experiment.network.mesh, experiment.network.task.target
        batches = train_batches(config, self._train_split, target, start_step=start)
        log = _Log(reporter, start, config.batch_size, config.log.every_steps)
        running: tuple[int, Metrics] | None = None
        for step in range(start + 1, experiment.total_steps + 1):
            with jax.transfer_guard("disallow"):  # but for what is sent on purpose
                state, metrics = experiment.train_step(state, to_devices(next(batches), mesh))
            # The step before is looked at while this one runs.
            if running:
                self._look_at(running, log)
            running = (step, metrics)
            if not (experiment.is_checkpoint_step(step) or self._stop()):
                continue
            # Nothing is saved before the loss that led to it was seen to be finite.
            self._look_at(running, log)
            running = None
            with log.pause():
                if experiment.is_eval_step(step):
                    self._evaluate(step, state, reporter)
                self._checkpoints.save(step, state)
            self._end_if_asked(step)

    def _look_at(self, running: tuple[int, Metrics], log: "_Log") -> None:
        """Fetches the metrics of a step, logs them, and stops at a loss that is not finite."""
        step, metrics = running[0], {k: float(v) for k, v in jax.device_get(running[1]).items()}
        is_finite = math.isfinite(metrics["loss"]) and math.isfinite(metrics["gradient_norm"])
        log.add(step, metrics, force=not is_finite or step == self._experiment.total_steps)
        if is_finite:
            return
        self._checkpoints.wait()
        last = self._checkpoints.last()
        good = f"step {last} is saved in {self._directory}" if last else "no step was saved"
        raise UserError(
            f"The loss of step {step} is {metrics['loss']:g} and its gradient norm "
            f"{metrics['gradient_norm']:g}, on batch {step - 1} of seed {self._config.seed} "
            f"(epoch {(step - 1) / self._experiment.steps_per_epoch:.2f}): {good}. "
            "Start again with a lower config.schedule.learning_rate, or with "
            "config.optimizer.clip_norm."
        )

    def _evaluate(self, step: int, state: TrainState, reporter: Reporter) -> None:
        """Evaluates, or gives up without a score if a signal arrives meanwhile."""
        config, network = self._config, self._experiment.network
        try:
            metrics = evaluate(
                network,
                *state.evaluated,
                eval_batches(config, self._eval_split, network.task.target),
                self._eval_split,
                on_corrupt=config.data.on_corrupt,
                stop=self._stop,
            )
        except Interrupted:
            return
        self._scores[step] = metrics[network.task.best]
        reporter.evaluation(step, metrics)

    def _end_if_asked(self, step: int) -> None:
        is_complete = step == self._experiment.total_steps and step in self._scores
        if not self._stop() or is_complete:
            return
        self._checkpoints.wait()
        raise Stopped(
            f"Stopped by a signal. Step {step:,} of {self._experiment.total_steps:,} is saved in "
            f"{self._directory}: the same command goes on from there."
        )

    def _summarize(self) -> dict[str, Any]:
        """Returns the result by the metrics that the run recorded, before and after resumes."""
        records = read_metrics(self._directory)
        last = [record for record in records if record["split"] == "eval"][-1]
        training = [record for record in records if record["split"] == "train"]
        speeds = [r["images_per_second"] for r in training if "images_per_second" in r]
        cost = count_cost(self._experiment.network.architecture)
        step = last.pop("step")
        del last["split"], last["images_per_second"]
        return {
            "best": self._experiment.network.task.best,
            # The moving statistics of a network that diverges can overflow.
            **finite_or_none(last),
            "split": self._eval_split.split,
            "step": step,
            "params": cost.params,
            "madds": cost.madds,
            "images_per_second": statistics.median(speeds) if speeds else None,
            "seconds": sum(record["seconds"] for record in training),
        }


class _Log:
    """Collects the metrics of steps and reports their means, with the time they took."""

    def __init__(self, reporter: Reporter, start: int, batch_size: int, every_steps: int):
        self._reporter = reporter
        self._first = start + 1
        self._batch_size = batch_size
        self._every = every_steps
        self._steps: list[dict[str, float]] = []
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leaves the time of the block out of the report."""
        started = time.perf_counter()
        with self._reporter.pause():
            yield
        self._since += time.perf_counter() - started

    def add(self, step: int, metrics: dict[str, float], *, force: bool) -> None:
        self._steps.append(metrics)
        if not (force or step == self._first or step % self._every == 0):
            return
        means = {
            name: statistics.fmean(metrics[name] for metrics in self._steps)
            for name in metrics.keys() - {"images", "learning_rate"}
        }
        images = sum(metrics["images"] for metrics in self._steps)
        now = time.perf_counter()
        report = {
            **means,
            "learning_rate": metrics["learning_rate"],
            "skipped_images": len(self._steps) * self._batch_size - round(images),
            "seconds": now - self._since,
        }
        self._reporter.train(step, report)
        self._steps, self._since = [], now
