"""The run table of a sweep read back from MLflow alone, for when its folder is not at hand.

MLflow keeps params as text and metrics thinned; milestones are kept whole in a tag, so that the same map can be drawn,
under every recorded threshold. This is the only module of the analysis that knows MLflow.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd

from grokcore.errors import DataError

PAGE = 1000
"""Runs asked for at once, the most MLflow gives."""
TAGS = ("run_id", "regime", "outcome", "reason", "ruled_out", "ruled_out_accuracy")
"""Tags that are columns of the run table."""


def read_mlflow(sweep: str, tracking_uri: str | None = None, sweep_id: str | None = None) -> pd.DataFrame:
    """Return the run table of `sweep`: run_id, dotted configuration, milestones, regime, outcome and last metrics.

    `tracking_uri` is MLFLOW_TRACKING_URI, or results/mlflow.db, unless given. `steps` is here the configured budget;
    the last step a run was seen at is that of its censored milestones. `sweep_id` (the tag so named) tells sweeps
    of one name apart. Raises `DataError` for a sweep not there, and for several of its name unless one is chosen.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('results/mlflow.db').resolve()}"
    if uri.startswith("sqlite:///") and not Path(unquote(uri.removeprefix("sqlite:///"))).is_file():
        # Asking would make an empty database.
        raise DataError(f"{uri} does not exist; give the tracking URI of the sweep's server or database.")
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(sweep)
        if experiment is None:
            known = ", ".join(sorted(found.name for found in client.search_experiments())) or "none"
            raise DataError(f"MLflow at {uri} has no sweep {sweep!r}. It has: {known}.")
        rows: list[dict[str, Any]] = []
        token, sweeps = None, Counter[str]()
        while True:
            page = client.search_runs(
                [experiment.experiment_id], "tags.kind = 'run'", max_results=PAGE, page_token=token
            )
            for run in page:
                identity = run.data.tags.get("sweep_id", "")
                if "milestones" in run.data.tags and sweep_id in (None, identity):
                    sweeps[identity] += 1
                    rows.append(_row(run))
            token = page.token
            if not token:
                break
    except MlflowException as error:
        raise DataError(f"MLflow at {uri} could not be read: {error}") from error
    if not rows:
        which = f"sweep {sweep!r}" if sweep_id is None else f"sweep {sweep!r} of identity {sweep_id}"
        raise DataError(f"{which} has no finished run in MLflow at {uri}.")
    if len(sweeps) > 1:
        listed = ", ".join(f"{identity or 'none'} ({count} runs)" for identity, count in sweeps.most_common())
        raise DataError(
            f"MLflow at {uri} has {len(sweeps)} sweeps called {sweep!r}, whose runs must not mix. Choose one by its "
            f"identity (sweep_id, also in the sweep's folder): {listed}."
        )
    return pd.DataFrame(rows).sort_values("run_id", ignore_index=True)


def _row(run: Any) -> dict[str, Any]:
    tags = run.data.tags
    row: dict[str, Any] = {name: tags.get(name, "") for name in TAGS}
    # What was varied is there as a metric too, where a seed is no whole number any more.
    row |= {name: value for name, value in run.data.metrics.items() if not name.startswith("t_")}
    row |= {name: _value(name, text) for name, text in run.data.params.items()}
    row |= json.loads(tags["milestones"])
    return row


def _value(name: str, text: str) -> Any:
    """Return a param as it stands in `runs.parquet`: numbers and truth values as such, lists and batches as JSON."""
    if name == "batch":
        return text if text.isdigit() else json.dumps(text)
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    try:
        number = float(text)
    except ValueError:
        return text
    return int(text) if text.lstrip("-").isdigit() else number
