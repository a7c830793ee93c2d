"""Storage: the folder or the bucket that holds a sweep's checkpoints, and carries its results if the spec names it.

A `Place` holds files by name: a folder of this host's, one that all hosts share, or a bucket (anything that
``pyarrow.fs`` opens: s3://, gs://, abfs://, hdfs://). Whatever happens, a file there is the old or the new one, never
half of each.
"""

from __future__ import annotations

import io
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from grokcore.atomic_files import replacing
from grokcore.errors import ConfigError, DataError

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")
"""Kinds of URL that `pyarrow.fs` opens."""

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://\S+")


class Place(Protocol):
    """Files by name; a name is a relative path with forward slashes, made by us, never by a user."""

    def make(self, folder: str) -> None:
        """Make a folder, so that files can be written into it."""

    def write(self, name: str, content: BinaryIO) -> None:
        """Write a file, whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, or None if there is none."""

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without the folder's."""


class Folder:
    """A place on a disk, this host's own or one that is mounted on every host."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self, folder: str) -> None:
        """Make a folder and those above it."""
        (self._path / folder).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, content: BinaryIO) -> None:
        """Write a file beside its place, flush it, and move it there; its folder must be there."""
        # Where a disk is not mounted, the folder is missing: nothing is written to what lies beneath.
        with replacing(self._path / name, make_folder=False) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(content, file)

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, or None if there is none."""
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self._path / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder."""
        return [path.name for path in (self._path / folder).glob("*") if path.is_file()]


class Bucket:
    """A place in object storage, where a file appears when its last byte has arrived."""

    def __init__(self, url: str) -> None:
        # Ten times as slow to import as the rest of a worker's bookkeeping: only for those who need it.
        from pyarrow import fs

        self._fs = fs
        try:
            self._files, root = fs.FileSystem.from_uri(url)
        except (OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"storage {url!r} cannot be opened: {_first_line(error)}") from None
        self._root = PurePosixPath(root)

    def make(self, folder: str) -> None:
        """Make a folder, where there is such a thing."""
        self._files.create_dir(str(self._root / folder), recursive=True)

    def write(self, name: str, content: BinaryIO) -> None:
        """Write a file; a file system of pyarrow's that is none of objects is written beside and moved."""
        path = self._root / name
        moved = self._files.type_name in ("local", "hdfs")
        target = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}") if moved else path
        with self._files.open_output_stream(str(target)) as stream:
            shutil.copyfileobj(content, stream)
        if moved:
            self._files.move(str(target), str(path))

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, or None if there is none."""
        try:
            with self._files.open_input_stream(str(self._root / name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        try:
            self._files.delete_file(str(self._root / name))
        except FileNotFoundError:
            return

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder."""
        chosen = self._fs.FileSelector(str(self._root / folder), allow_not_found=True)
        return [info.base_name for info in self._files.get_file_info(chosen) if info.is_file]


def place(storage: str) -> Place:
    """Return the place that a spec's `storage` or a path names."""
    return Bucket(storage) if _URL.fullmatch(storage) else Folder(Path(storage))


def within(storage: str, name: str) -> str:
    """Return the storage of one sweep inside that of several."""
    return f"{storage.rstrip('/')}/{name}"


def storage_complaints(storage: str) -> Iterator[str]:
    """Yield why no host could use `storage`: it is neither a folder from the root on, nor a bucket."""
    url = _URL.fullmatch(storage)
    if url and url[1] not in SCHEMES:
        yield f"storage = {storage!r}: cannot open {url[1]}://; it can open {', '.join(f'{s}://' for s in SCHEMES)}."
    elif not url and not storage.startswith("/"):
        what = (
            "give a folder that every host sees, from the root on (/shared/grokmap), or a bucket (s3://BUCKET/grokmap)"
        )
        yield f"storage = {storage!r}: {what}; leave it out and everything travels to the head."


class Marker:
    """A file of the driver's that says to another host: this is the storage you should see."""

    def __init__(self, storage: str) -> None:
        self.name = f".seen-{uuid.uuid4().hex}"
        try:
            self._place = place(storage)
            self._place.make("")
            self._place.write(self.name, io.BytesIO())
        except (OSError, DataError) as error:
            reason = _first_line(error)
            raise ConfigError([f"storage = {storage!r} cannot be written here: {reason}"]) from None

    def remove(self) -> None:
        """Take it away."""
        self._place.delete(self.name)


def trouble_seeing(storage: str, marker: str) -> str:
    """Return why this host cannot use the storage that holds `marker`; empty if it can read and write there."""
    mine = f"{marker}-{uuid.uuid4().hex[:8]}"
    try:
        there = place(storage)
        if there.read(marker) is None:
            return "it is another one there, or not mounted"
        there.write(mine, io.BytesIO())
        there.delete(mine)
    except (OSError, DataError) as error:
        return _first_line(error)
    return ""


def deliver(files: Iterable[Path], storage: str, base: Path) -> None:
    """Copy files of a sweep's folder `base` to its storage, each under its path there."""
    there = place(storage)
    for file in files:
        name = file.relative_to(base)
        if name.parent != Path():
            there.make(name.parent.as_posix())
        with file.open("rb") as content:
            there.write(name.as_posix(), content)


def _first_line(error: BaseException) -> str:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return reason.splitlines()[0].strip().rstrip(".") + "."
