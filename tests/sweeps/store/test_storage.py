"""Storage: a folder or a bucket, whose files are old or new and never half; late checkpoints are refused."""

import io

import pytest

from grokcore.errors import ConfigError
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.store.checkpoint_store import CheckpointStore
from sweeps.store.storage import Marker, deliver, place, trouble_seeing


@pytest.fixture(params=["folder", "url"])
def storage(request, tmp_path):
    """Name the same folder as a path and as the URL by which a bucket is opened."""
    return str(tmp_path / "shared") if request.param == "folder" else f"file://{tmp_path / 'shared'}"


def test_a_file_is_written_replaced_listed_and_deleted(storage):
    there = place(storage)
    there.make("checkpoints")
    assert there.names("checkpoints") == []
    assert there.read("checkpoints/a.pt") is None
    there.write("checkpoints/a.pt", io.BytesIO(b"old"))
    there.write("checkpoints/a.pt", io.BytesIO(b"new" * 10**6))
    assert there.read("checkpoints/a.pt") == b"new" * 10**6
    assert there.names("checkpoints") == ["a.pt"]
    there.delete("checkpoints/a.pt")
    there.delete("checkpoints/a.pt")
    assert there.read("checkpoints/a.pt") is None
    assert there.names("never made") == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    class Torn(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError("no space left on device")
            return super().read(min(size, 5) if size > 0 else 5)

    there = place(str(tmp_path))
    there.write("a", io.BytesIO(b"old"))
    with pytest.raises(OSError, match="no space"):
        there.write("a", Torn(b"new content"))
    assert there.read("a") == b"old"
    assert there.names("") == ["a"]


def test_nothing_is_written_beneath_a_disk_that_is_not_mounted(tmp_path):
    with pytest.raises(FileNotFoundError):
        place(str(tmp_path / "not mounted")).write("checkpoints/a.pt", io.BytesIO(b"x"))
    assert not (tmp_path / "not mounted").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("results/shared", "give a folder that every host sees, from the root on"),
        ("ftp://host/folder", "cannot open ftp://; it can open s3://"),
        ("s3:bucket", "or a bucket (s3://BUCKET/grokmap)"),
        ("", "leave it out and everything travels to the head"),
    ],
)
def test_what_is_no_storage_is_refused_with_the_spec(spec, changed, given, says):
    with pytest.raises(ConfigError) as caught:
        changed(spec, storage=given)
    assert says in str(caught.value)
    assert len(caught.value.complaints) == 1


def test_a_spec_with_storage_is_written_and_read(spec, changed, tmp_path):
    named = changed(spec, storage="s3://bucket/grokmap/")
    (tmp_path / "spec.toml").write_text(named.to_toml())
    assert SweepSpec.from_toml(tmp_path / "spec.toml") == named
    assert named.own_storage == "s3://bucket/grokmap/small"
    assert spec.own_storage is None


def test_a_host_that_sees_the_storage_is_told_from_one_that_does_not(storage, tmp_path):
    marker = Marker(storage)
    assert trouble_seeing(storage, marker.name) == ""
    assert "not mounted" in trouble_seeing(storage, ".seen-by-nobody")
    assert "not mounted" in trouble_seeing(str(tmp_path / "elsewhere"), marker.name)
    marker.remove()
    assert list((tmp_path / "shared").iterdir()) == []


def test_a_storage_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written here: Not a directory"):
        Marker(str(tmp_path / "file" / "folder"))
    with pytest.raises(ConfigError, match="cannot be written here"):
        Marker("s4://bucket/folder")


def test_results_are_copied(storage, tmp_path):
    (tmp_path / "runs.parquet").write_bytes(b"runs")
    place(storage).make("")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "mine.py").write_bytes(b"mine")
    deliver([tmp_path / "runs.parquet", tmp_path / "parts" / "mine.py"], storage, tmp_path)
    assert place(storage).read("parts/mine.py") == b"mine"
    assert place(storage).read("runs.parquet") == b"runs"


def test_a_late_checkpoint_of_a_cohort_that_is_over_is_refused(tmp_path):
    store = CheckpointStore(str(tmp_path), str(tmp_path))
    store.save_part("a", "one", 0, b"first", True)
    assert store.fetch_part("a", 0, 100) == b"first"
    store.forget("a")
    store.save_part("a", "two", 0, b"late", True)
    assert store.fetch_part("a", 0, 100) is None
    assert not store.wants("a")
    store.save_part("b", "one", 0, b"another", True)
    assert store.fetch_part("b", 0, 100) == b"another"


def test_weights_stay_in_the_sweeps_own_folder(tmp_path, storage):
    store = CheckpointStore(str(tmp_path / "results"), storage)
    store.save_weights("3f2a", 10, b"weights")
    assert (tmp_path / "results" / "weights" / "3f2a" / "00000010.safetensors").read_bytes() == b"weights"
