"""A handful of images under ImageNet's names, in each form in which people have ImageNet."""

import io
import json
import pathlib
import shutil
import struct
import tarfile

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from PIL import Image

from mobilenet.data.prepare.imagenet.prepare import PreparedImagenet, prepare_imagenet
from tests.helpers import toy_dataset

# Their labels, from the numbering that all ImageNet models share.
LABELS = {"n01440764": 0, "n01443537": 1, "n01484850": 2, "n01739381": 59, "n02105855": 230}
CMYK = "n01739381_1309.JPEG"  # CMYK in the real set too, as TFDS knows
PNG = "n02105855_2933.JPEG"  # the same: a PNG file
PER_CLASS = 5
# Classes of ILSVRC2012_val_00000001.JPEG and on: snake, ski, Shetland sheepdog, soup bowl, cradle.
VALIDATION_CLASSES = ["n01751748", "n09193705", "n02105855", "n04263257", "n03125729"]
VALIDATION_LABELS = [65, 970, 230, 809, 516]
VERSION = pathlib.Path("imagenet2012", "5.1.0")
TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def picture(seed: int) -> np.ndarray:
    """A smooth picture, so that JPEG keeps its pixels nearly."""
    low = np.random.default_rng(seed).integers(0, 255, (3, 3, 3), np.uint8)
    return np.asarray(Image.fromarray(low).resize((40, 32), Image.Resampling.BICUBIC))


def encode(pixels: np.ndarray, kind: str = "JPEG", mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    options = {"quality": 95} if kind == "JPEG" else {}
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def train_images(per_class: int = PER_CLASS) -> dict[str, dict[str, bytes]]:
    """The training images of each class; the last two classes have the odd ones."""
    images: dict[str, dict[str, bytes]] = {}
    for number, name in enumerate(LABELS):
        files = {f"{name}_{i}.JPEG": encode(picture(10 * number + i)) for i in range(per_class)}
        images[name] = files
    images["n01739381"][CMYK] = encode(picture(100), mode="CMYK")
    images["n02105855"][PNG] = encode(picture(101), "PNG")
    return images


def validation_images() -> dict[str, bytes]:
    count = len(VALIDATION_CLASSES)
    return {f"ILSVRC2012_val_{i:08d}.JPEG": encode(picture(200 + i)) for i in range(1, count + 1)}


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def make_tars(folder: pathlib.Path, train=None, validation=None) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    classes = {f"{name}.tar": tar_of(files) for name, files in (train or train_images()).items()}
    (folder / TRAIN_TAR).write_bytes(tar_of(classes))
    # The real one is not sorted either.
    files = dict(reversed((validation or validation_images()).items()))
    (folder / VALIDATION_TAR).write_bytes(tar_of(files))
    return folder


def make_folders(folder: pathlib.Path, *, flat: bool) -> pathlib.Path:
    for name, files in train_images().items():
        write_files(folder / "train" / name, files)
    if flat:
        write_files(folder / "val", validation_images())
    else:
        for name, (file, data) in zip(VALIDATION_CLASSES, validation_images().items(), strict=True):
            write_files(folder / "val" / name, {file: data})
    return folder


def write_files(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def make_tfrecords(folder: pathlib.Path, prepared: pathlib.Path) -> pathlib.Path:
    """A TFRecord preparation with the records of an ArrayRecord one, in two files a split."""
    directory = folder / VERSION
    shutil.copytree(prepared, directory, ignore=shutil.ignore_patterns("*.array_record*"))
    info = json.loads((directory / "dataset_info.json").read_text())
    info["fileFormat"] = "tfrecord"
    for split in info["splits"]:
        records = read_array_records(prepared, split["name"])
        parts = [records[: len(records) // 2], records[len(records) // 2 :]]
        for index, part in enumerate(parts):
            path = directory / f"imagenet2012-{split['name']}.tfrecord-{index:05d}-of-00002"
            path.write_bytes(b"".join(map(frame, part)))
        split["shardLengths"] = [str(len(part)) for part in parts]
    (directory / "dataset_info.json").write_text(json.dumps(info))
    return folder


def read_array_records(directory: pathlib.Path, split: str) -> list[bytes]:
    records = []
    for path in sorted(directory.glob(f"imagenet2012-{split}.array_record-*")):
        reader = array_record_module.ArrayRecordReader(str(path))
        records += reader.read(0, reader.num_records())
        reader.close()
    return records


def frame(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + bytes(4)


def masked_crc(data: bytes) -> int:
    """CRC-32C bit by bit, masked as in TFRecord files."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def prepare(source: pathlib.Path, data_dir: pathlib.Path, **options) -> PreparedImagenet:
    """Prepares in this process, and takes few images."""
    return prepare_imagenet(source, data_dir, **{"allow_partial": True, "num_workers": 1} | options)


def read(data_dir: pathlib.Path, split: str):
    """The split as training sees it, and its records."""
    return toy_dataset.read(toy_dataset.data_config("imagenet2012", data_dir), split)


def class_names() -> set[str]:
    """All 1000, from TFDS's file."""
    return set(tfds.core.tfds_path("datasets/imagenet2012/labels.txt").read_text().split())
