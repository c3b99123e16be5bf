"""Our input pipeline, as `train.py` runs it on photographs."""

import contextlib
from collections.abc import Iterator
from typing import Any

from benchmarks.photographs import data_config
from benchmarks.timing import Turn, draw_batches
from benchmarks.workload import InputWorkload
from mobilenet.config import size_of
from mobilenet.data.datasets import open_split
from mobilenet.data.pipeline import train_batches
from mobilenet.tasks.classification.classification import label_of


def read(workload: InputWorkload) -> Turn:
    config = data_config(workload.data, workload.data_dir, workload.threads)
    split = open_split(config, workload.split)

    def open_batches() -> contextlib.AbstractContextManager[Iterator[Any]]:
        size = size_of(workload.resolution)
        batches = train_batches(split, config, size, workload.batch_size, 0, label_of)
        return contextlib.closing(batches)

    return draw_batches(open_batches)
