"""An embedded Ray takes the cores it may, finds a folder for its sockets, and keeps its token where it can."""

import os
import shutil
from pathlib import Path

import pytest

from grokcore.errors import ConfigError
from sweeps.execution import embedded_ray
from sweeps.execution.embedded_ray import _group_limits, ray_folder, usable_cores

V1 = "4:memory:/job\n3:cpu,cpuacct:/job\n"


@pytest.mark.parametrize(
    ("own", "files", "limits"),
    [
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, [3]),
        ("0::/a/b\n", {"a/cpu.max": "800000 100000", "a/b/cpu.max": "150000 100000"}, [1, 8]),
        ("0::/a\n", {"a/cpu.max": "50000 100000"}, [1]),
        ("0::/../outside\n", {}, []),
        (V1, {"cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000"}, [4]),
        (V1, {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, []),
        ("0::/a\n", {"a/cpu.max": "nonsense"}, []),
    ],
    ids=["of the group above", "several", "less than a core", "of another space", "version 1", "no limit", "damaged"],
)
def test_control_groups_limit_the_cores(tmp_path, own, files, limits):
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text + "\n")
    assert list(_group_limits(tmp_path / "fs", tmp_path / "own")) == limits


def test_cores_are_the_fewest_that_anything_allows(monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(embedded_ray, "_group_limits", lambda: [12])
    assert usable_cores() == 12
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    assert usable_cores() == 6
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert usable_cores() == 1
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "")
    assert usable_cores() == 1


def test_a_long_folder_is_left_for_a_short_one(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 78)))
    folder = ray_folder()
    assert len(f"{folder}/session_2026-11-29_00-44-12_082789_1234567/sockets/plasma_store") <= 107
    assert not folder.is_relative_to(tmp_path)


def test_another_users_folder_is_left_to_them(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    others = embedded_ray._usable
    monkeypatch.setattr(embedded_ray, "_usable", lambda folder: folder.name != "ray" and others(folder))
    assert ray_folder().name == f"ray-{os.getuid()}"
    monkeypatch.setattr(embedded_ray, "_usable", lambda _: False)
    with pytest.raises(ConfigError, match="RAY_TMPDIR"):
        ray_folder()


def test_a_folder_is_usable_by_its_owner_alone(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    assert embedded_ray._usable(tmp_path / "mine")
    assert embedded_ray._usable(tmp_path / "new")
    assert not embedded_ray._usable(tmp_path / "missing" / "new")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not embedded_ray._usable(tmp_path / "mine")


def test_a_full_disk_is_left_for_one_with_room(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/dev/shm")
    free, usage = {"/tmp": embedded_ray.ROOM, "/dev": embedded_ray.ROOM - 1}, shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free.get(f"/{path.parts[1]}", 0)))
    assert ray_folder().parent == Path("/tmp")
    free.clear()
    with pytest.raises(ConfigError, match="64 MiB free"):
        ray_folder()


def test_a_home_that_cannot_be_written_has_a_token_for_the_process(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    (tmp_path / "home").write_text("no folder can be made in a file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    embedded_ray._own_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.delenv("RAY_AUTH_TOKEN")


def test_a_ray_that_does_not_start_is_said_in_a_sentence(monkeypatch, tmp_path):
    def fail(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(embedded_ray.ray, "init", fail)
    with pytest.raises(
        ConfigError, match=r"does not start: \[Errno 28\] No space left on device\. .* MiB free"
    ) as caught:
        embedded_ray.start(None)
    assert "\n" not in str(caught.value)


def test_a_ray_that_starts_too_slowly_is_no_matter_of_room(monkeypatch, tmp_path):
    def fail(**_):
        raise RuntimeError("The current node timed out during startup.")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(embedded_ray.ray, "init", fail)
    with pytest.raises(ConfigError, match=r"during startup\. The machine may be busy .* the same command again"):
        embedded_ray.start(None)


@pytest.mark.parametrize(("slots", "cores"), [(None, 5), (2, 2)])
def test_slots_say_otherwise(monkeypatch, tmp_path, slots, cores):
    given = {}
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(embedded_ray, "usable_cores", lambda: 5)
    monkeypatch.setattr(embedded_ray.ray, "init", given.update)
    embedded_ray.start(slots)
    assert given["num_cpus"] == cores
