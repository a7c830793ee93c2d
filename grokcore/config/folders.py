"""Folders of components: a user's own members of the families, found without touching the package.

``FOLDER/tasks/my_task.py`` is the task ``my_task``, in every process in which `use_folder` was told of the folder. A
sweep names its folder; workers get its files (`use_files`), and the sweep keeps them beside its records.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from grokcore.errors import ConfigError

FAMILIES = (
    "tasks", "models", "losses", "optimizers", "transforms", "initialisations", "measures", "samplers", "stopping",
    "figures",
)  # fmt: skip
"""The families that a folder of one's own may add to, each in a subfolder of this name."""

LARGEST_FOLDER = 2**24
"""Bytes that a folder of components may hold: it travels to every worker and is kept with every sweep."""

PREFIX = "grokmap_components."
"""What the names of imported files begin with."""

_folders: list[Path] = []
_digests: dict[Path, tuple[str, str]] = {}
"""Of every folder that was ever used: digests of all its files, and of those that decide runs."""


def use_folder(folder: Path | str) -> Path:
    """Find members in ``folder/tasks/*.py`` and so on from now on, in this process; return its whole path.

    What is in the folder is imported, so it must be code that you would run. Its files may import one another. Where
    several folders in use have a file of one name, the folder used last counts; one that holds the same files as the
    one used last is not used beside it. Raises `ConfigError` if there is no such folder, if it holds no Python file or
    too much, or if its files are not those that this process has imported already.
    """
    path = Path(folder).resolve()
    if not path.is_dir():
        raise ConfigError([f"components = {str(folder)!r}: there is no such folder ({path})."])
    files = folder_files(path)
    if not any(name.endswith(".py") for name in files):
        raise ConfigError(
            [f"components = {str(folder)!r}: holds no Python file; a task, say, goes to {folder}/tasks/my_task.py."]
        )
    digest = files_digest(files, figures=True), files_digest(files)
    if _digests.setdefault(path, digest)[1] != digest[1]:
        raise ConfigError([f"components = {str(folder)!r}: has changed since it was imported; start Python anew."])
    _digests[path] = digest
    if _folders and _digests[_folders[0]] == digest:
        return _folders[0]
    _refuse_other_helpers(path, files)
    _use([path, *(other for other in _folders if other != path)])
    return path


def _use(chosen: Sequence[Path]) -> None:
    """Make `chosen` the folders in use; they come last on Python's path, so that their files hide no library."""
    ours = set(map(str, _digests))
    sys.path[:] = [*(name for name in sys.path if name not in ours), *map(str, chosen)]
    _folders[:] = chosen


def _refuse_other_helpers(path: Path, files: Mapping[str, bytes]) -> None:
    """Raise `ConfigError` if a file that the folder's own import by name is loaded already, in another version."""
    for module in list(sys.modules.values()):
        origin = getattr(module, "__file__", None)
        if origin is None or module.__name__.startswith(PREFIX):
            continue
        for other in _folders:
            if other != path and Path(origin).is_relative_to(other):
                name = Path(origin).relative_to(other).as_posix()
                if name in files and files[name] != Path(origin).read_bytes():
                    raise ConfigError(
                        [f"{path / name} and {origin} differ, and this process has imported the second; "
                         "name one of the two folders alone as components."]
                    )  # fmt: skip


def use_files(files: Mapping[str, bytes]) -> Path:
    """Use a folder of components that came from elsewhere, as `folder_files` returns it; return where it lies here."""
    digest = files_digest(files, figures=True)
    for path in _folders:
        if _digests[path][0] == digest:
            return use_folder(path)
    folder = Path(tempfile.mkdtemp(prefix="grokmap-components-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_files(folder, files)
    return use_folder(folder)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write what `folder_files` returned into another folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def keep_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` hold these files and no other, at once; one that does already stays as it is."""
    if folder.is_dir() and folder_files(folder) == files:
        return
    written = Path(tempfile.mkdtemp(prefix=".components-", dir=folder.parent))
    write_files(written, files)
    shutil.rmtree(folder, ignore_errors=True)
    written.rename(folder)


def folders() -> tuple[Path, ...]:
    """Return the folders in use, the one used last first."""
    return tuple(_folders)


@contextlib.contextmanager
def folders_kept() -> Iterator[None]:
    """Use other folders for a moment: on leaving, those in use are the ones that were before."""
    before = list(_folders)
    try:
        yield
    finally:
        _use(before)


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return what a folder of components holds: relative path to content, without what is hidden or compiled.

    Raises `ConfigError` if that is more than `LARGEST_FOLDER`.
    """
    found: dict[str, bytes] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        size += path.stat().st_size
        if size > LARGEST_FOLDER:
            raise ConfigError(
                [f"components = {str(folder)!r}: holds more than {LARGEST_FOLDER // 2**20} MiB; name a folder of its "
                 "own, which travels to every worker."]
            )  # fmt: skip
        found["/".join(parts)] = path.read_bytes()
    return found


def files_digest(files: Mapping[str, bytes], *, figures: bool = False) -> str:
    """Return the first digits of a hash of a folder's files; without its figures, it is part of what decides a run."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        if figures or not name.startswith("figures/"):
            digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def folders_digest() -> str:
    """Return the digest of the files in use, "" if there are none."""
    return " ".join(dict.fromkeys(_digests[path][1] for path in _folders))


def import_file(path: Path) -> ModuleType:
    """Import a file of a folder in use, once; its module has a name of its own and hides nothing else."""
    name = PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:12] + "." + path.stem
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ConfigError([f"{path}: is no Python file."])
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses look their annotations up there
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError([f"{path}: could not be imported ({type(error).__name__}: {error})."]) from error
    return module
