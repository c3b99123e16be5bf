"""`keras.applications` on TensorFlow, run as a graph."""

import os

# Both are read when the modules are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from benchmarks.timing import Turn, repeat_steps
from benchmarks.workload import StepWorkload


def train(workload: StepWorkload) -> Turn:
    model = _build_model(workload)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # XLA's depthwise convolutions on CPUs are several times slower than TensorFlow's own.
        jit_compile=False,
    )
    images, labels = map(tf.constant, workload.random_batch())
    # Returns the loss as a number, so the step has ended.
    return repeat_steps(lambda: model.train_on_batch(images, labels))


def infer(workload: StepWorkload) -> Turn:
    model = _build_model(workload)
    images = tf.constant(workload.random_batch()[0])

    @tf.function
    def apply(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    return repeat_steps(lambda: apply(images).numpy())


def _build_model(workload: StepWorkload) -> keras.Model:
    tf.config.threading.set_intra_op_parallelism_threads(workload.threads)
    tf.config.threading.set_inter_op_parallelism_threads(workload.threads)
    if workload.compute_dtype == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    architecture = workload.architecture()
    knobs = {
        "input_shape": (workload.resolution, workload.resolution, 3),
        "alpha": workload.width,
        "weights": None,
        "classes": architecture.num_classes,
        "classifier_activation": None,
    }
    if workload.model == "mobilenet_v1":
        return keras.applications.MobileNet(dropout=0.0, **knobs)
    return keras.applications.MobileNetV2(**knobs)
