"""Runs train.py and sends its process a signal at an exact place: SIGNAL PLACE STEP FLAGS...

A test that watches from outside would sometimes come too late. The places:
  step: before the step is computed; the first of a process is compiled there.
  report: after the metrics of the step were written.
  evaluation: in the evaluation after the step, between two batches.
  save: when the checkpoint of the step is written and not yet renamed to its final name.
"""

import os
import pathlib
import runpy
import signal
import sys
from collections.abc import Iterator
from typing import Any

from mobilenet.runs.reporting import Reporter
from mobilenet.training import loop

_REPOSITORY = pathlib.Path(__file__).parents[2]


def main() -> None:
    name, place, step = sys.argv[1], sys.argv[2], int(sys.argv[3])

    def send() -> None:
        os.kill(os.getpid(), signal.Signals[name])

    {"step": _at_step, "report": _at_report, "evaluation": _at_evaluation, "save": _at_save}[place](
        step, send
    )
    train = _REPOSITORY / "train.py"
    sys.argv[:] = [str(train), *sys.argv[4:]]
    runpy.run_path(str(train), run_name="__main__")


def _at_step(step: int, send: Any) -> None:
    build = loop.build_experiment

    def build_interrupted(*arguments: Any) -> Any:
        experiment = build(*arguments)
        train_step = experiment.train_step

        def interrupted(state: Any, batch: Any) -> Any:
            if int(state.step) == step - 1:
                send()
            return train_step(state, batch)

        object.__setattr__(experiment, "train_step", interrupted)
        return experiment

    loop.build_experiment = build_interrupted


def _at_report(step: int, send: Any) -> None:
    train = Reporter.train

    def interrupted(self: Reporter, at: int, metrics: Any) -> None:
        train(self, at, metrics)
        if at == step:
            send()

    Reporter.train = interrupted


def _at_evaluation(step: int, send: Any) -> None:
    evaluate = loop._Run._evaluate
    make_batches = loop.eval_batches
    steps = []

    def evaluate_step(self: Any, at: int, *arguments: Any) -> None:
        steps.append(at)
        evaluate(self, at, *arguments)

    def interrupted_batches(*arguments: Any) -> Iterator[Any]:
        for index, batch in enumerate(make_batches(*arguments)):
            if steps and steps[-1] == step and index == 1:
                send()
            yield batch

    loop._Run._evaluate = evaluate_step
    loop.eval_batches = interrupted_batches


def _at_save(step: int, send: Any) -> None:
    for name in ("rename", "replace"):
        original = getattr(os, name)

        def interrupted(old: Any, new: Any, *, original: Any = original, **keywords: Any) -> None:
            path = pathlib.Path(new)
            if (path.parent.name, path.name) == ("checkpoints", str(step)):
                send()
            original(old, new, **keywords)

        setattr(os, name, interrupted)


if __name__ == "__main__":
    main()
