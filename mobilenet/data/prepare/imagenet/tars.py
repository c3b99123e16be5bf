"""Lists the two official tars, without unpacking them."""

import dataclasses
import functools
import os
import pathlib
import tarfile
from collections.abc import Iterator

import tqdm

from mobilenet.data.images import CorruptImageError
from mobilenet.data.prepare.imagenet.jpeg import check_ends
from mobilenet.data.prepare.imagenet.labels import (
    ImagenetError,
    check_class_of,
    check_classes,
    class_numbers,
    validation_labels,
)
from mobilenet.data.prepare.imagenet.listing import TRAIN, VALIDATION, Listing, Member
from mobilenet.data.prepare.imagenet.workers import Workers

TRAIN_TAR = "ILSVRC2012_img_train.tar"
VALIDATION_TAR = "ILSVRC2012_img_val.tar"
_SUFFIX = ".tar"


@dataclasses.dataclass(frozen=True)
class _Tar:
    """A tar that is a file, or a part of one."""

    path: str
    name: str | None  # the class tar; None: the whole file
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.path}: {self.name}" if self.name else self.path


def list_tars(
    folder: pathlib.Path,
    workers: Workers,
    *,
    val_labels: str | os.PathLike[str] | None,
    allow_partial: bool,
    keep_damaged: bool,
) -> Listing:
    """Lists both tars in `folder`; looks at the first and last bytes of every image, unless
    damaged ones are to be kept.

    Reads the tables of the 1000 class tars where they lie in the training tar.

    Raises:
      ImagenetError: a tar is missing or damaged, or holds what it should not.
    """
    paths = [folder / TRAIN_TAR, folder / VALIDATION_TAR]
    for path, other in zip(paths, reversed(paths), strict=True):
        if not path.is_file():
            raise ImagenetError(
                f"{folder} has {other.name} but no {path.name}: put both official tars there."
            )
    train, validation = map(str, paths)
    # The whole validation tar is the longest task, so it comes first.
    tars = [_whole(validation), *_class_tars(train)]
    check_classes(train, [tar.name for tar in tars if tar.name], allow_partial=allow_partial)
    found: dict[str | None, list[Member]] = {}
    with tqdm.tqdm(total=len(tars), desc="Reading the tars' tables", unit="tar") as progress:
        list_images = functools.partial(_list_images, check=not keep_damaged)
        for tar, images in workers.run(list_images, tars):
            found[tar.name] = images
            progress.update()
    members = []
    for name, label in class_numbers().items():
        for member in found.get(name, ()):
            check_class_of(f"{train}: {name}", member.name, label)
            members.append(member._replace(label=label))
    labels = validation_labels(validation, [member.name for member in found[None]], val_labels)
    validation_members = [
        member._replace(label=labels[member.name], container=1) for member in found[None]
    ]
    return Listing("images", (train, validation), {TRAIN: members, VALIDATION: validation_members})


def _whole(path: str) -> _Tar:
    return _Tar(path, None, 0, pathlib.Path(path).stat().st_size)


def _class_tars(path: str) -> list[_Tar]:
    tars = []
    with open(path, "rb", buffering=0) as file:
        for name, offset, size in _members(file.fileno(), _whole(path)):
            if not name.endswith(_SUFFIX):
                raise ImagenetError(
                    f"{path} holds {name}, but should hold one tar a class, such as "
                    f"n01440764.tar: get the official {TRAIN_TAR}."
                )
            tars.append(_Tar(path, name.removesuffix(_SUFFIX), offset, size))
    return tars


def _list_images(tar: _Tar, *, check: bool) -> list[Member]:
    members = []
    with open(tar.path, "rb", buffering=0) as file:
        descriptor = file.fileno()
        time = os.fstat(descriptor).st_mtime_ns
        for name, offset, size in _members(descriptor, tar):

            def read(start: int, count: int, offset: int = offset) -> bytes:
                return os.pread(descriptor, count, offset + start)

            # Costs little, because the table's next entry follows the image's last bytes.
            try:
                if check:
                    check_ends(read, size)
            except CorruptImageError as error:
                raise ImagenetError(
                    f"{tar}: {name} is no good image: {error}; get the tar again, or pass "
                    "--keep_damaged to store such images as they are."
                ) from error
            members.append(Member(name, -1, 0, offset, size, time))
    return members


def _members(descriptor: int, tar: _Tar) -> Iterator[tuple[str, int, int]]:
    """Name, place in the file and size of all plain files in a tar.

    Raises:
      ImagenetError: the tar is damaged, or has links or other special members.
    """
    last = "its beginning"
    try:
        with tarfile.open(fileobj=_Window(descriptor, tar), mode="r:") as table:  # type: ignore[call-overload]
            for member in table:
                name = pathlib.PurePosixPath(member.name).name
                if member.isdir() or name.startswith("."):
                    continue
                if not member.isreg() or member.issparse():
                    raise ImagenetError(
                        f"{tar} holds {name}, which is a link or another special member: get the "
                        "official tar."
                    )
                if member.offset_data + member.size > tar.size:
                    raise ImagenetError(f"{tar} is cut short in {name}: get it again.")
                last = name
                yield name, tar.offset + member.offset_data, member.size
            end = table.offset
    except tarfile.TarError as error:
        raise ImagenetError(f"{tar} is damaged or cut short ({error}): get it again.") from error
    # Python takes a damaged entry for the end; the true end is a block of zeros.
    if end < tar.size and any(os.pread(descriptor, tarfile.BLOCKSIZE, tar.offset + end)):
        raise ImagenetError(f"{tar} is damaged after {last}: get it again.")


class _Window:
    """The part of a file that holds a tar, as much of a file object as `tarfile` needs."""

    def __init__(self, descriptor: int, tar: _Tar):
        self._descriptor = descriptor
        self._start, self._size = tar.offset, tar.size
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, count: int) -> bytes:
        count = max(min(count, self._size - self._position), 0)
        data = os.pread(self._descriptor, count, self._start + self._position)
        self._position += len(data)
        return data
