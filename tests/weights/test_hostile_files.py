"""Files of weights that were made to hang or to fill the memory are refused in a sentence."""

import contextlib
import gzip
import io
import pathlib
import pickle
import re
import struct
import tarfile
import zipfile

import h5py
import numpy as np
import pytest

from mobilenet.errors import UserError
from mobilenet.weights.damage import MOST_BYTES
from mobilenet.weights.files import read_tensors
from tests.helpers.torch_files import View, archive, pickled
from tests.reliability.samples import tensorflow_files


def _peak() -> int:
    """Returns the largest memory of this process since it was last asked to count, kilobytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1])


@contextlib.contextmanager
def takes_little_memory():
    # Without this the peak would be that of earlier tests (proc_pid_clear_refs(5)).
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    yield
    assert _peak() - before < 200_000


@pytest.fixture
def refuse(tmp_path):
    """Reads a file of some content and ending, and returns why it was refused."""

    def refuse(ending, data):
        path = tmp_path / f"hostile{ending}"
        path.write_bytes(data)
        # The largest of these files would take gigabytes.
        with takes_little_memory(), pytest.raises(UserError) as raised:
            read_tensors(path)
        message = str(raised.value)
        assert str(path) in message
        assert "\n" not in message
        return message

    return refuse


def test_a_value_of_a_high_number_takes_no_memory_for_those_below(tmp_path):
    # Python's unpickler in C makes room for a billion values.
    start, high = b"\x80\x02", b"Nr" + struct.pack("<I", 2**30) + b"0"
    state = start + high + pickled({"a": View((3,), (1,), 3)}).removeprefix(start)
    path = tmp_path / "x.pth"
    path.write_bytes(archive(state, [np.arange(3, dtype=np.float32).tobytes()]))
    with takes_little_memory():
        np.testing.assert_array_equal(read_tensors(path)["a"], [0, 1, 2])


@pytest.mark.parametrize(
    "state",
    [
        b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns.",
        b"\x80\x02" + b"(" + b")" + b"\x85" * 200_000 + b"Nd.",
        b"\x80\x02ccollections\nOrderedDict\n(]](" + b")" + b"\x85" * 200_000 + b"NeatR.",
        b"\x80\x04(" + b")" + b"\x85" * 200_000 + b"\x91.",
    ],
    ids=["dictionary", "dictionary at once", "ordered dictionary", "set"],
)
def test_keys_of_tuples_in_tuples_do_not_end_python(refuse, state):
    assert "cannot be read as a file of PyTorch" in refuse(".pth", archive(state))


def test_a_compressed_archive_of_pytorch_is_refused(refuse):
    # A thousandth of what it unpacks to.
    bomb = archive(pickle.dumps(bytes(10**7)), compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refuse(".pth", bomb)


def test_an_encrypted_archive_of_pytorch_is_refused(refuse):
    data = bytearray(archive(b"N."))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + flags] |= 1
    assert "is encrypted" in refuse(".pth", bytes(data))


def test_many_tensors_of_one_storage_are_refused(refuse):
    value = np.zeros(2**20, np.float32)
    count = MOST_BYTES // value.nbytes + 1
    state = pickled(
        {f"{number:04}": View(value.shape, (1,), value.size) for number in range(count)}
    )
    message = refuse(".pth", archive(state, [value.tobytes()]))
    assert f"{count * value.nbytes:,} bytes unpacked, and more than {MOST_BYTES:,}" in message


def test_an_archive_of_arrays_that_unpacks_to_gigabytes_is_refused(refuse):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**10,)}
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    data = buffer.getvalue().replace(
        struct.pack("<II", *[len(header.getvalue())] * 2), struct.pack("<II", 100, 2**31)
    )
    assert "2,147,483,648 bytes unpacked" in refuse(".npz", data)


def test_a_header_that_is_no_python_is_refused(refuse):
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 12) + b"{'descr': (\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", header)
    assert "cannot be read" in refuse(".npz", buffer.getvalue())


def test_a_number_without_end_in_a_table_is_refused(refuse, tmp_path):
    index, shard = tensorflow_files()
    (tmp_path / "hostile.ckpt.data-00000-of-00001").write_bytes(shard)
    # The footer, whose numbers go on through a megabyte before it.
    data = b"\x80" * 2**20 + b"\x80" * 40 + index[-8:]
    assert "a number of too many bytes" in refuse(".ckpt.index", data)


def test_a_table_that_repeats_a_block_is_refused(refuse, tmp_path):
    (tmp_path / "hostile.ckpt.data-00000-of-00001").write_bytes(b"")
    entries = b"\0\1\0a" * 3000 + struct.pack("<II", 0, 1)
    handle = b"\0" + bytes([len(entries) & 0x7F | 0x80, len(entries) >> 7])
    handles = (b"\0\1\3k" + handle) * 3000 + struct.pack("<II", 0, 1)
    place = len(entries) + 1
    footer = b"\0\0" + bytes([place & 0x7F | 0x80, place >> 7])
    footer += bytes([len(handles) & 0x7F | 0x80, len(handles) >> 7 & 0x7F | 0x80])
    footer += bytes([len(handles) >> 14])
    data = entries + b"\0" + handles + b"\0" + footer.ljust(40, b"\0")
    message = refuse(".ckpt.index", data + tensorflow_files()[0][-8:])
    assert "more entries than fit into it" in message


def _tar(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content, changes in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_links_in_a_circle_are_passed_over(refuse):
    link = {"type": tarfile.SYMTYPE, "linkname": "x.index"}
    assert "holds 0 checkpoints" in refuse(".tar", _tar(("x.index", b"", link)))


def test_a_tar_that_unpacks_to_gigabytes_is_refused(refuse):
    index, shard = tensorflow_files()
    name = "x.data-00000-of-00001"
    data = _tar(("x.index", index, {}), (name, shard, {}))
    header = tarfile.TarInfo(name)
    header.size = 2**33 - 1
    start = data.index(name.encode())
    huge = data[:start] + header.tobuf(tarfile.USTAR_FORMAT) + data[start + 512 :]
    assert "bytes unpacked, and more than" in refuse(".tgz", gzip.compress(huge))


def test_values_that_are_not_in_a_keras_file_are_refused(refuse, tmp_path):
    path = tmp_path / "x.h5"
    for options in (
        {"chunks": (1000,)},
        {"external": [(str(tmp_path / "elsewhere"), 0, h5py.h5f.UNLIMITED)]},
    ):
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"a"]
            group = file.create_group("a")
            group.attrs["weight_names"] = [b"w:0"]
            group.create_dataset("w:0", (10**9,), "f4", **options)
        assert "the values of w:0 are not in it" in refuse(".h5", path.read_bytes())
