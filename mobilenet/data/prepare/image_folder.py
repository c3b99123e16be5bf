"""Turns a folder or a tar of `split/class/*.jpg|png` into a TFDS dataset, without TensorFlow."""

import concurrent.futures
import contextlib
import dataclasses
import gzip
import itertools
import lzma
import os
import pathlib
import random
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator

import tqdm

from mobilenet.data.images import CorruptImageError, decode_with_simplejpeg
from mobilenet.data.prepare.names import is_litter, some
from mobilenet.data.writer import DatasetWriter, Example, new_dataset_directory
from mobilenet.errors import UserError

_EXTENSIONS = (".jpg", ".jpeg", ".png")
# Images all the same: outside a class folder they mean that the layout is not what we think.
_OTHER_IMAGE_EXTENSIONS = (".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp")
_ORDER_SEED = 0
_CHUNK = 256  # images read and checked at a time
_LAYOUT = "the layout must be split/class/image, for example train/cat/1.jpg"


class ImageFolderError(UserError, ValueError):
    """The folder or tar does not hold a data set that we can make."""


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    path: str  # relative to the input, with slashes
    size: int  # bytes
    offset: int  # where the content starts in the file that holds it


@dataclasses.dataclass(frozen=True)
class _Listing:
    files: list[_File]
    directories: set[str]
    read: Callable[[_File], bytes]


@dataclasses.dataclass(frozen=True)
class PreparedFolder:
    """What was written.

    Attributes:
      directory: the dataset.
      num_examples: images of each split.
      class_names: in the order of the labels, that of `order_classes`.
      ignored: files outside of class folders that are no images.
    """

    directory: pathlib.Path
    num_examples: dict[str, int]
    class_names: tuple[str, ...]
    ignored: tuple[str, ...]


def prepare_image_folder(
    source: str | os.PathLike[str],
    name: str,
    data_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> PreparedFolder:
    """Writes the dataset `data_dir/name/1.0.0` from the images of a folder or a tar.

    Files keep their bytes. The class names are the folders' names in the order of `order_classes`.
    The order in each split is a fixed permutation, so a slice such as `train[:1%]` holds all
    classes. Every image is decoded once, to be sure that it can be. Hidden files and those that
    desktops leave are passed over; other files outside of class folders are passed over and
    reported; in a class folder anything but .jpg, .jpeg and .png is refused. One folder around the
    splits is allowed.

    Args:
      source: a folder, or a tar, plain or compressed (copied uncompressed to `data_dir` meanwhile).
      name: the dataset's name.
      data_dir: the folder of all datasets.
      overwrite: replace a dataset of this name.

    Raises:
      ImageFolderError: the layout is wrong, a split or class is empty, the splits differ in
        classes, or images cannot be decoded (all of them are named). Nothing is written then.
      DatasetExistsError: the dataset exists and `overwrite` is not set.
    """
    source = pathlib.Path(source).expanduser()
    with new_dataset_directory(name, data_dir, overwrite=overwrite) as directory:
        with _open_listing(source, scratch=directory.parent) as listing:
            splits, ignored = _arrange(source, listing)
            class_names = order_classes({_class_of(file) for file in next(iter(splits.values()))})
            labels = {class_name: label for label, class_name in enumerate(class_names)}
            total = sum(len(files) for files in splits.values())
            everything = itertools.chain.from_iterable(splits.values())
            with tqdm.tqdm(total=total, desc=name, unit="image") as progress:
                examples = _checked_examples(everything, listing.read, labels, progress.update)
                writer = DatasetWriter(directory, name, class_names)
                for split, files in splits.items():
                    writer.write_split(
                        split,
                        examples,
                        num_examples=len(files),
                        num_bytes=sum(file.size for file in files),
                    )
                # Reads on to the error, if the last images of all are the bad ones.
                next(examples, None)
            writer.write_metadata(description=f"Images of {source.name}, by class.")
        final = directory.parent.parent / directory.name
    return PreparedFolder(
        directory=final,
        num_examples={split: len(files) for split, files in splits.items()},
        class_names=tuple(class_names),
        ignored=tuple(ignored),
    )


def order_classes(names: Iterable[str]) -> list[str]:
    """Returns names of classes in the order of their labels: by the alphabet.

    Names that are the whole numbers from 0 on are the labels, as text would have 10 before 2.
    """
    found = sorted(names)
    numbers = list(map(str, range(len(found))))
    return numbers if found == sorted(numbers) else found


@contextlib.contextmanager
def _open_listing(source: pathlib.Path, scratch: pathlib.Path) -> Iterator[_Listing]:
    if source.is_dir():
        yield _list_directory(source)
    elif source.is_file() and tarfile.is_tarfile(source):
        with _uncompressed(source, scratch) as plain, open(plain, "rb") as tar:
            yield _list_tar(source, plain, tar.fileno())
    else:
        raise ImageFolderError(f"{source} is neither a folder nor a tar: name one that exists.")


def _list_directory(source: pathlib.Path) -> _Listing:
    files: list[_File] = []
    directories: set[str] = set()
    for folder, subfolders, names in os.walk(source, onerror=_raise, followlinks=True):
        relative = pathlib.Path(folder).relative_to(source)
        directories.update((relative / subfolder).as_posix() for subfolder in subfolders)
        for file_name in names:
            path = pathlib.Path(folder) / file_name
            # A broken link is listed all the same, so that it is named when it cannot be read.
            size = path.stat().st_size if path.exists() else 0
            files.append(_File((relative / file_name).as_posix(), size, 0))
    return _Listing(files, directories, lambda file: (source / file.path).read_bytes())


def _raise(error: OSError) -> None:
    raise error


@contextlib.contextmanager
def _uncompressed(source: pathlib.Path, scratch: pathlib.Path) -> Iterator[pathlib.Path]:
    # Images are read in shuffled order, and a compressed tar can only be read from the start.
    try:
        tarfile.open(source, "r:").close()
    except tarfile.ReadError:
        with tempfile.NamedTemporaryFile(dir=scratch, suffix=".tar") as plain:
            try:
                with tarfile.open(source, "r:*") as tar:
                    assert tar.fileobj is not None
                    tar.fileobj.seek(0)
                    while block := tar.fileobj.read(2**20):
                        plain.write(block)
            except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as e:
                raise ImageFolderError(f"{source} is damaged ({e}): get it again.") from e
            plain.flush()
            yield pathlib.Path(plain.name)
    else:
        yield source


def _list_tar(source: pathlib.Path, plain: pathlib.Path, descriptor: int) -> _Listing:
    files: dict[str, _File] = {}
    directories: set[str] = set()
    try:
        with tarfile.open(plain, "r:") as tar:
            for member in tar:
                path = pathlib.PurePosixPath(member.name.lstrip("/")).as_posix()
                if member.isdir():
                    directories.add(path)
                elif member.isreg() and not member.issparse():
                    # A later member replaces an earlier one of its name, as when unpacking.
                    files[path] = _File(path, member.size, member.offset_data)
                elif not _is_hidden(path):
                    raise ImageFolderError(
                        f"{source} holds {path}, which is a link or another special member: "
                        "repack it with plain files (tar --dereference)."
                    )
    except tarfile.TarError as error:
        raise ImageFolderError(f"{source} is damaged ({error}): get it again.") from error

    def read(file: _File) -> bytes:
        return os.pread(descriptor, file.size, file.offset)

    for path in files:
        directories.update(parent.as_posix() for parent in pathlib.PurePosixPath(path).parents)
    return _Listing(list(files.values()), directories - {"."}, read)


def _arrange(source: pathlib.Path, listing: _Listing) -> tuple[dict[str, list[_File]], list[str]]:
    """Checks the layout; returns the files of each split, in the order to write, and the ignored.

    Splits are in alphabetical order.
    """
    files = [file for file in listing.files if not _is_hidden(file.path)]
    directories = {path for path in listing.directories if not _is_hidden(path)}
    wrapper = _wrapper(files)
    images: dict[str, dict[str, list[_File]]] = {}
    ignored, misplaced, foreign = [], [], []
    for file in files:
        parts = file.path.removeprefix(wrapper).split("/")
        extension = pathlib.PurePosixPath(file.path).suffix.lower()
        if len(parts) == 3 and extension in _EXTENSIONS:
            images.setdefault(parts[0], {}).setdefault(parts[1], []).append(file)
        elif len(parts) == 3:
            foreign.append(file.path)
        elif extension in _EXTENSIONS + _OTHER_IMAGE_EXTENSIONS:
            misplaced.append(file.path)
        else:
            ignored.append(file.path)
    for path in directories:
        parts = path.removeprefix(wrapper).split("/")
        if path + "/" != wrapper and path.startswith(wrapper) and len(parts) <= 2:
            classes = images.setdefault(parts[0], {})
            for class_name in parts[1:]:
                classes.setdefault(class_name, [])
    if misplaced:
        raise ImageFolderError(
            f"{source} holds {some(sorted(misplaced))} in the wrong place: {_LAYOUT}."
        )
    if foreign:
        raise ImageFolderError(
            f"{source} holds {some(sorted(foreign))} in class folders: convert them to .jpg or "
            ".png, or remove them."
        )
    if not images:
        raise ImageFolderError(f"{source} holds no images (.jpg, .jpeg or .png): {_LAYOUT}.")
    _check_classes(source, images)
    splits = {}
    for split in sorted(images):
        ordered = [file for files in images[split].values() for file in files]
        ordered.sort(key=lambda file: file.path)
        random.Random(_ORDER_SEED).shuffle(ordered)
        splits[split] = ordered
    return splits, sorted(ignored)


def _wrapper(files: list[_File]) -> str:
    """The one folder around all splits, with its slash, or ''."""
    images = [file.path.split("/") for file in files if file.path.lower().endswith(_EXTENSIONS)]
    roots = {parts[0] for parts in images}
    depths = {len(parts) for parts in images}
    return f"{roots.pop()}/" if len(roots) == 1 and depths == {4} else ""


def _check_classes(source: pathlib.Path, images: dict[str, dict[str, list[_File]]]) -> None:
    everything = {name for classes in images.values() for name in classes}
    for split, classes in images.items():
        if not re.fullmatch(r"\w+", split) or split == "all":
            raise ImageFolderError(
                f"{source} has a split named {split!r}: rename the folder to letters, digits and "
                "underscores, and not 'all'."
            )
        if not any(classes.values()):
            raise ImageFolderError(
                f"{source} has no images in the split {split!r}: remove its folder or fill it."
            )
        for name in sorted(everything):
            if name != name.strip() or not name.isprintable():
                raise ImageFolderError(
                    f"{source} has a class named {name!r}: rename the folder without white space "
                    "around it and without line breaks and other control characters."
                )
            if not classes.get(name):
                raise ImageFolderError(
                    f"{source} has no images of class {name!r} in split {split!r}: every split "
                    "needs images of every class, so add some or remove the class's folders."
                )


def _checked_examples(
    files: Iterable[_File],
    read: Callable[[_File], bytes],
    labels: dict[str, int],
    progress: Callable[[int], object],
) -> Iterator[Example]:
    """Yields the examples; after an unreadable image only looks for more, to name them all."""
    unreadable: list[str] = []
    iterator = iter(files)

    def load(file: _File) -> Example | str:
        try:
            data = read(file)
            decode_with_simplejpeg(data)
        except (CorruptImageError, OSError) as error:
            return f"{file.path} ({error})"
        return Example(data, labels[_class_of(file)], file.path)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        while chunk := list(itertools.islice(iterator, _CHUNK)):
            for loaded in pool.map(load, chunk):
                progress(1)
                if isinstance(loaded, str):
                    unreadable.append(loaded)
                elif not unreadable:
                    yield loaded
    if unreadable:
        raise ImageFolderError(
            f"{len(unreadable)} images cannot be decoded, so nothing was written; replace or "
            "remove them:\n  " + "\n  ".join(unreadable)
        )


def _class_of(file: _File) -> str:
    return file.path.split("/")[-2]


def _is_hidden(path: str) -> bool:
    return any(is_litter(part) for part in path.split("/"))
