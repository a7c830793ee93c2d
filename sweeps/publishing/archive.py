"""Archive: a sweep in one file that a data repository keeps, and that opens again with the same commands."""

from __future__ import annotations

import hashlib
import os
import shlex
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from grokcore.atomic_files import replacing
from grokcore.errors import DataError
from grokcore.output_paths import check_outputs
from sweeps.publishing.methods import methods
from sweeps.store.early_end import EXHAUSTED, REACHED, runs_wanted
from sweeps.store.tables import write_tables

if TYPE_CHECKING:
    from sweeps.finished_runs.load import SweepFolder

RECORDS = (
    "spec.toml",
    "asked.jsonl",
    "records.jsonl",
    REACHED,
    EXHAUSTED,
    "runs.parquet",
    "curves.parquet",
    "measures.parquet",
)
"""Files of a sweep that say what was done; those that are there are kept."""
FOLDERS = ("components", "measures", "figures")
"""Folders of a sweep that are kept whole."""
LINES = ".jsonl"
"""Files that may grow while they are read: they are kept up to their last whole line."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time that every file in an archive has, so that the same sweep is the same bytes."""
CHUNK = 2**20


def archive(
    sweep: SweepFolder, out: Path, *, weights: bool = False, say: Callable[[str], object] = lambda _: None
) -> Path:
    """Write a sweep to the file `out`, a zip of one folder of the sweep's name, and return the path.

    It holds the specification, the choice of runs, every run's record with its curves, both as Parquet too, the map as
    it was drawn last, a paragraph of methods, the environment, checksums, and a README with the commands that open it
    again. Weight snapshots come with it if `weights`. The same sweep gives the same bytes. Raises `DataError` where no
    run has finished, `OutputError` where `out` cannot be written or is a file of the sweep.
    """
    folder = sweep.folder.resolve()
    check_outputs([out], [path for path in folder.rglob("*") if path.is_file()])
    runs, records = folder / "runs.parquet", folder / "records.jsonl"
    if not records.exists() or not records.stat().st_size:
        raise DataError(f"sweep {sweep.spec.name!r} has no finished run yet, so there is nothing to archive.")
    if not runs.exists() or runs.stat().st_mtime < records.stat().st_mtime:
        say("writing the tables of runs and curves …")
        write_tables(folder, sweep.rule)
    kept = list(_kept(folder, weights=weights))
    drawn = any(path.name == "map.html" for path in kept)
    if not drawn:
        say(f"there is no map in it yet; `grokmap map {shlex.quote(str(sweep.folder))}` draws one.")
    made = methods(sweep)
    texts = {
        "README.md": readme(sweep, [str(path.relative_to(folder)) for path in kept], drawn=drawn),
        "methods.txt": made.text() + "\n",
        "methods.tex": made.latex() + "\n",
        "references.bib": made.bibtex(),
        "requirements.txt": requirements(),
    }
    say(f"packing {len(kept) + len(texts) + 1:,} files …")
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        sums = {}
        for path in kept:
            name = path.relative_to(folder).as_posix()
            sums[name] = _add_file(file, f"{sweep.spec.name}/{name}", path)
        for name, text in texts.items():
            sums[name] = _add(file, f"{sweep.spec.name}/{name}", text.encode())
        listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
        _add(file, f"{sweep.spec.name}/SHA256SUMS", listed.encode())
    return out


def _kept(folder: Path, *, weights: bool) -> Iterator[Path]:
    """Yield the files of a sweep that are archived, in order; links are left out, they may lead anywhere."""
    found = [folder / name for name in RECORDS]
    found += [path for pattern in ("map.*", "map-*", "definition.json") for path in folder.glob(pattern)]
    for name in (*FOLDERS, *(["weights"] if weights else [])):
        found += (folder / name).rglob("*")
    yield from sorted(
        path
        for path in set(found)
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith((".", "__")) for part in _parts(path, folder))
    )


def _parts(path: Path, folder: Path) -> Sequence[str]:
    return path.relative_to(folder).parts


def _information(name: str) -> zipfile.ZipInfo:
    information = zipfile.ZipInfo(name, EPOCH)
    information.compress_type = zipfile.ZIP_DEFLATED
    information.external_attr = 0o644 << 16
    return information


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> str:
    file.writestr(_information(name), content)
    return hashlib.sha256(content).hexdigest()


def _add_file(file: zipfile.ZipFile, name: str, path: Path) -> str:
    """Add a file in pieces and return its checksum; of one that grows, the lines that are whole now."""
    digest = hashlib.sha256()
    left = _whole_lines(path) if path.suffix == LINES else path.stat().st_size
    with path.open("rb") as source, file.open(_information(name), "w", force_zip64=True) as target:
        while piece := source.read(min(CHUNK, left)):
            left -= len(piece)
            digest.update(piece)
            target.write(piece)
    return digest.hexdigest()


def _whole_lines(path: Path) -> int:
    """Return the number of bytes up to the last newline."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - CHUNK)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            end = start
    return 0


def requirements() -> str:
    """Return the packages that are installed here, with their versions, as pip reads them."""
    found = {f"{one.metadata['Name']}=={one.version}" for one in distributions() if one.metadata["Name"]}
    return "".join(f"{line}\n" for line in sorted(found, key=str.casefold))


def readme(sweep: SweepFolder, names: Sequence[str], *, drawn: bool) -> str:
    """Return what an archive says of itself: what is in it, and the commands that open it again."""
    spec = sweep.spec
    finished, over = len(sweep.records), ", ".join(spec.whole_space.dimensions)
    meanings = {
        "spec.toml": "the specification: which runs there may be, who chose them, the rule",
        "asked.jsonl": "every run that was chosen, a line each",
        "records.jsonl": "every finished run, a line each: configuration, outcome, environment, curves",
        REACHED: "when the sweep's goal was reached",
        EXHAUSTED: "that its space had no more runs",
        "runs.parquet": "one row a run: configuration, milestones, regime, measures",
        "curves.parquet": "one row a run and evaluation: losses, accuracies, measures",
        "measures.parquet": "what was measured in weight snapshots",
        "components": "parts of one's own that the runs are made of: code that opening the archive imports",
        "measures": "the same for each run",
        "figures": "pages and pictures of single runs",
        "weights": "weight snapshots",
        "map*, definition.json": "the regime map as it was drawn last, with everything that made it",
        "methods.txt, methods.tex, references.bib": "a paragraph of methods, with its sources",
        "requirements.txt": "packages that were installed where this archive was made",
        "SHA256SUMS": "checksums: `sha256sum -c SHA256SUMS`",
    }
    there = {name.partition("/")[0] for name in names}
    shown = [
        f"| `{name}` | {meaning} |"
        for name, meaning in meanings.items()
        if name in there or name.startswith(("methods", "requirements", "SHA")) or (drawn and name.startswith("map*"))
    ]
    return "\n".join(
        [
            f"# Sweep {spec.name}", "",
            f"{finished:,} of {runs_wanted(sweep.folder, spec):,} runs over {over}, chosen by {spec.sampler}. "
            f"Rule: {spec.rule.sentence()}.",
            "", "| file | what it is |", "|---|---|", *shown, "",
            "## Open it again", "",
            "With Grokmap installed, unpack the archive, and beside the unpacked folder type", "", "```sh",
            f"grokmap map {spec.name} --out again             # fit and draw the map; nothing is trained",
            f"grokmap reproduce {spec.name} --sample 3        # train three runs again and compare every bit",
            f"grokmap sweep {spec.name}/spec.toml --name {_again(spec.name)}   # make the whole sweep anew",
            "```", "",
            "The tables open with pandas, or with anything that reads Parquet:", "", "```python",
            "import pandas as pd", "",
            f'runs = pd.read_parquet("{spec.name}/runs.parquet")', "```", "",
        ]
    )  # fmt: skip


def _again(name: str) -> str:
    return f"{name[:58]}-again"
