"""What reads files that come from elsewhere, by name, with whole files to begin with."""

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Sequence

from mobilenet.data.images import DECODERS
from mobilenet.data.jpeg_frame import read_size
from mobilenet.weights.files import read_tensors
from tests.reliability.samples import image_samples, tensorflow_files, weight_samples


@dataclasses.dataclass(frozen=True)
class Reader:
    """`read` returns, or raises UserError; anything else is a fault."""

    read: Callable[[bytes], object]
    samples: Sequence[bytes]


def all_readers(folder: pathlib.Path) -> dict[str, Reader]:
    """Returns the readers of images and of weights; those of weights write files to `folder`."""
    images = image_samples()
    readers = {
        f"image by {name}": Reader(functools.partial(_decode, name), images) for name in DECODERS
    }
    # An index is read with its shard, which stays whole.
    (folder / "input.ckpt.data-00000-of-00001").write_bytes(tensorflow_files()[1])
    for ending, samples in weight_samples().items():
        readers[f"weights {ending}"] = Reader(
            functools.partial(_read_weights, folder / f"input{ending}"), samples
        )
    return readers


def _decode(decoder: str, data: bytes) -> None:
    """As training does: the size from the header, then half of the rows."""
    size = read_size(data)
    DECODERS[decoder](data, max(size[0] // 2, 1) if size else None)


def _read_weights(path: pathlib.Path, data: bytes) -> None:
    path.write_bytes(data)
    read_tensors(path)


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Returns a folder in memory where there is such, for files that live for milliseconds."""
    memory = pathlib.Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
