"""The tutorials work as they are written: their files are put where they say, their commands typed as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs/tutorials"
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(page, folder):
    """Do what a page says in a folder of one's own: first its files, then its commands; return what they said."""
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    said = []
    for line in "".join(TYPED.findall(text)).splitlines():
        done = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment | {"PATH": path, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        said.append(done.stdout)
    return said


@pytest.mark.slow
def test_your_runs_from_elsewhere(tmp_path):
    said = follow("own-runs.md", tmp_path)
    for name in ("map.png", "map.html", "map.csv"):
        assert (tmp_path / "figures" / name).stat().st_size > 10_000
    # What the page says of the script's own rule: little data and decay memorise, much of both comprehend.
    rows = [[float(word) for word in line.split()[1:]] for line in said[-1].splitlines()[1:]]
    assert rows[0][1] > 0.8
    assert rows[1][3] > 0.8


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "name", "runs"),
    [("own-task.md", "circle", 48), ("own-network.md", "residual", 32)],
    ids=["task", "network"],
)
def test_your_own_part_in_a_sweep_and_on_a_map(page, name, runs, tmp_path):
    import pandas as pd

    follow(page, tmp_path)
    table = pd.read_parquet(tmp_path / "results" / name / "runs.parquet")
    assert len(table) == runs
    assert {"memorization", "grokking", "comprehension"} <= set(table["regime"])
    assert (tmp_path / "results" / name / "map.png").stat().st_size > 10_000


@pytest.mark.parametrize("page", sorted(path.name for path in TUTORIALS.glob("*.md")))
def test_every_picture_has_a_caption_that_says_what_to_see(page):
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    pictures = re.findall(r"^!\[.*\]\(.*\)\n\n(.*)$", text, re.MULTILINE)
    assert len(pictures) == len(re.findall(r"^!\[", text, re.MULTILINE))
    assert all(caption.startswith("*") for caption in pictures)
