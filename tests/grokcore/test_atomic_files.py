"""A file is the old one or the whole new one, whatever happens while it is written."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from grokcore.atomic_files import replacing, write_text

ROOT = Path(__file__).parents[2]


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


def test_what_a_killed_writer_left_is_removed_at_the_next_write_and_what_another_is_writing_is_not(tmp_path):
    path = tmp_path / "map-boundaries.csv"
    code = "import os, sys; from grokcore.atomic_files import replacing\nwith replacing(sys.argv[1]): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, path], check=False, cwd=ROOT).returncode == 9
    (left,) = tmp_path.iterdir()
    write_text(path, "new")
    assert left.exists(), "a moment old: its writer may be about to take its lock"
    os.utime(left, (0, 0))
    others = [tmp_path / ".map-abcdefgh.csv", tmp_path / ".map-boundaries-abcdefgh.svg"]
    for other in others:
        other.write_text("")
        os.utime(other, (0, 0))
    with replacing(path) as writing:
        os.utime(writing, (0, 0))
        write_text(path, "newer")
        assert writing.exists()
        assert not left.exists()
        writing.write_text("newest")
    assert path.read_text() == "newest"
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
