import pytest

from mobilenet.errors import UserError
from mobilenet.runtime.whole_file import whole_file


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "new")]


@pytest.mark.parametrize(
    ("raised", "seen", "words"),
    [
        (OSError(28, ""), UserError, r"^Cannot write .*file: the disk is full: .+\.$"),
        (ValueError("why"), ValueError, "^why$"),
    ],
)
def test_a_failure_leaves_what_was_there(tmp_path, raised, seen, words):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(seen, match=words), whole_file(path) as part:  # noqa: PT012
        part.write_text("half")
        raise raised
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
