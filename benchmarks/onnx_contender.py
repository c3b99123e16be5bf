"""ONNX Runtime, on the graph that one exports."""

import numpy as np
import onnxruntime

from benchmarks.timing import Turn, repeat_steps
from benchmarks.workload import StepWorkload
from mobilenet.export.onnx import build_graph
from mobilenet.factory import create_model
from mobilenet.networks.functional import split_model


def infer(workload: StepWorkload) -> Turn:
    model = create_model(
        workload.model, width=workload.width, resolution=workload.resolution, dropout=0.0
    )
    _, params, batch_stats = split_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = workload.threads
    session = onnxruntime.InferenceSession(
        build_graph(workload.architecture(), params, batch_stats).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    images = np.ascontiguousarray(workload.random_batch()[0].transpose(0, 3, 1, 2))
    return repeat_steps(lambda: session.run(None, {"images": images}))
