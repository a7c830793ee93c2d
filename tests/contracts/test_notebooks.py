"""The notebooks run from top to bottom as they stand, and show what they say they show."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "docs/notebooks"


def execute(name, folder):
    """Run a notebook in a folder; return its cells' outputs as HTML or text, and whether each drew a picture."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    data = [output["data"] for output in outputs if "data" in output]
    return "\n".join(one.get("text/html", one.get("text/plain", "")) for one in data), [
        one for one in data if "image/png" in one
    ]


@pytest.mark.ray
@pytest.mark.slow
def test_the_notebooks_run(tmp_path, monkeypatch):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    text, pictures = execute("first-map.ipynb", tmp_path)
    assert re.search(r"24/24 runs", text)  # the progress's last picture
    assert "24 of 24" in text
    assert 'srcdoc="' in text
    assert '<img alt="&lt;RegimeMap of 24 runs' in text
    assert pictures
    text, pictures = execute("inside-a-run.ipynb", tmp_path)
    assert "RunRecord" in text
    assert len(pictures) == 2
    text, _ = execute("your-own.ipynb", tmp_path)
    assert "RegimeMap of 12 runs" in text
    assert text.count("<RunRecord") == 8


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs_and_lead_somewhere(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        for link in re.findall(r"\]\(([^)#:]+)\)", "".join(cell["source"])):
            assert (path.parent / link).exists(), link
