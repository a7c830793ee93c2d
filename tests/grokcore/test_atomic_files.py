"""A file is the old one or the whole new one, whatever happens while it is written."""

import stat

import pytest

from grokcore.atomic_files import replacing, write_text


def test_an_error_while_writing_leaves_the_old_file_and_no_litter(tmp_path):
    path = write_text(tmp_path / "map.csv", "old")

    def interrupted():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made_and_the_suffix_is_kept(tmp_path):
    with replacing(tmp_path / "a" / "b" / "map.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"png")
    assert (tmp_path / "a" / "b" / "map.png").read_bytes() == b"png"


def test_a_result_is_readable_by_others(tmp_path):
    path = write_text(tmp_path / "map.csv", "text")
    beside = tmp_path / "plain"
    beside.write_text("text")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(beside.stat().st_mode)
