"""Every benchmark, from its settings to its report."""

import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import photographs
from benchmarks.compile_time import time_starts
from benchmarks.contenders import CONTENDERS, choose_peers
from benchmarks.findings import describe_machine, summarize_starts, summarize_turns
from benchmarks.turns import Turns, take_turns
from benchmarks.workload import InputWorkload, StepWorkload
from mobilenet.data.datasets import Split, open_split


def run_steps(
    benchmark: str, workload: StepWorkload, peers: Sequence[str] | None, rounds: int
) -> dict[str, Any]:
    """Times training steps (`train_step`) or forward passes (`inference`).

    Peers and rounds are those of `choose_peers` and `take_turns`.

    Raises:
      UserError: an unknown peer, or a contender that failed.
    """
    chosen, left_out = choose_peers(benchmark, peers, workload.compute_dtype)
    turns = take_turns(benchmark, chosen, workload, rounds)
    return _report_turns(benchmark, dataclasses.asdict(workload), turns, left_out)


def run_input(
    workload: InputWorkload, source_size: str | None, peers: Sequence[str] | None, rounds: int
) -> dict[str, Any]:
    """Times the way from JPEG files to batches for training.

    Args:
      workload: the dataset and the batch.
      source_size: such as 500x375: the photographs are first resized to it, into a dataset that is
        removed afterwards. None reads them as they are.
      peers, rounds: as of `choose_peers` and `take_turns`.

    Raises:
      UserError: an unknown peer, a dataset that cannot be read, a contender that failed.
    """
    chosen, left_out = choose_peers("input", peers)
    size = photographs.parse_size(source_size) if source_size else None
    split = _open(workload)
    described = {
        "source_size": source_size or "as stored",
        "images": split.num_examples,
        **dataclasses.asdict(workload),
    }
    with tempfile.TemporaryDirectory() as scratch:
        workload = dataclasses.replace(workload, scratch=scratch)
        if size:
            name = photographs.write_resized(split, size, scratch)
            workload = dataclasses.replace(workload, data=name, data_dir=scratch, split="train")
        described["mean_jpeg_bytes"] = round(photographs.mean_jpeg_bytes(_open(workload)))
        turns = take_turns("input", chosen, workload, rounds)
    del described["scratch"]
    report = _report_turns("input", described, turns, left_out)
    report["images_per_second_per_core"] = {
        name: speed["median"] / workload.threads
        for name, speed in report["images_per_second"].items()
    }
    return report


def run_compile(program: pathlib.Path, workload: StepWorkload, rounds: int) -> dict[str, Any]:
    """Times `train.py`, the `program`, from its start to its first finished step.

    Raises:
      UserError: it ended before its first step.
    """
    starts = []
    for cold, warm in time_starts(program, workload, rounds):
        starts.append((cold, warm))
        line = f"round {len(starts)}: cold {cold:.1f} s, warm {warm:.1f} s"
        print(line, file=sys.stderr, flush=True)
    described = dataclasses.asdict(workload)
    del described["seconds"]
    return {
        "benchmark": "compile",
        "workload": described,
        "machine": describe_machine(workload.threads, ()),
        **summarize_starts(starts),
    }


def _open(workload: InputWorkload) -> Split:
    config = photographs.data_config(workload.data, workload.data_dir, workload.threads)
    return open_split(config, workload.split)


def _report_turns(
    benchmark: str, workload: dict[str, Any], turns: Turns, left_out: Mapping[str, str]
) -> dict[str, Any]:
    peers = [CONTENDERS[benchmark][name] for name in turns.pairs]
    modules = [module for peer in peers for module in peer.modules]
    summary = summarize_turns(turns, workload["batch_size"])
    summary["left_out"] = {**left_out, **summary["left_out"]}
    return {
        "benchmark": benchmark,
        "workload": workload,
        "machine": describe_machine(workload["threads"], modules),
        **summary,
    }
