"""The batch that all contenders get, and the processors."""

import os

import numpy as np
import pytest

from benchmarks.workload import StepWorkload, use_threads
from mobilenet.errors import UserError


def test_the_batch_is_always_the_same():
    workload = StepWorkload("mobilenet_v1", 0.25, 32, 6, "float32", threads=1, seconds=0.0)
    (images, labels), (again, _) = workload.random_batch(), workload.random_batch()
    assert images.shape == (6, 32, 32, 3)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, again)
    assert labels.shape == (6,)
    assert labels.min() >= 0
    assert labels.max() < 1000


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot bind processes")
def test_threads_bind_the_process():
    before = os.sched_getaffinity(0)
    try:
        assert use_threads(None) == len(before)
        assert use_threads(1) == 1
        assert len(os.sched_getaffinity(0)) == 1
        with pytest.raises(UserError, match=r"--threads=2: this process has 1 processors\."):
            use_threads(2)
    finally:
        os.sched_setaffinity(0, before)
