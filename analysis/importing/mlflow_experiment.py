"""Any project's experiment in MLflow as a table of curves: each run's accuracies at their steps, and its params."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd

from analysis.importing.curve_tables import Imported, is_accuracy, left_out, runs_of_curves
from analysis.runs.columns import STATES, tidied
from grokcore.errors import DataError

PAGE = 1000
"""Runs asked for at once, the most MLflow gives."""


def import_experiment(name: str, uri: str, columns: Mapping[str, str]) -> Imported:
    """Return the run table of the runs of an experiment in MLflow at a tracking URI, called by name.

    Metrics called like accuracies are read, and those that `columns` names; params are settings. Runs without any are
    left out, which is said. Raises `DataError` for an experiment that is not there, and where MLflow cannot be asked.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    if uri.startswith("sqlite:///") and not Path(unquote(uri.removeprefix("sqlite:///"))).is_file():
        # Asking would make an empty database.
        raise DataError(f"{uri} does not exist; give the tracking URI of the experiment's server or database.")
    # A server that is not there is asked twice, not for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            known = ", ".join(sorted(found.name for found in client.search_experiments())) or "none"
            raise DataError(f"MLflow at {uri} has no experiment {name!r}. It has: {known}.")
        runs = _runs(client, experiment.experiment_id)
        tables = [table for run in runs if (table := _curves(client, run, set(columns.values()))) is not None]
    except MlflowException as error:
        raise DataError(f"MLflow at {uri} could not be read: {error}") from error
    if not tables:
        metrics = ", ".join(sorted({key for run in runs for key in run.data.metrics})[:20]) or "none"
        raise DataError(
            f"no run of {name!r} has a metric called like an accuracy; name them, as --column train_accuracy=NAME "
            f"--column val_accuracy=NAME. There are: {metrics}."
        )
    found = runs_of_curves(tidied(pd.concat(tables, ignore_index=True), columns).frame)
    lost = len(runs) - len(tables)
    notes = left_out(lost)
    states = {run.info.run_id: STATES.get(str(run.info.status).lower(), "") for run in runs}
    return Imported(frame=found.frame.assign(outcome=found.frame["run_id"].map(states)), notes=(*notes, *found.notes))


def _runs(client: Any, experiment: str) -> list[Any]:
    runs: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token)
        runs, token = [*runs, *page], page.token
        if not token:
            return runs


def _curves(client: Any, run: Any, asked: set[str]) -> pd.DataFrame | None:
    """Return a run's accuracies, one row a value in the order of their steps, with its params; None without any."""
    keys = [key for key in run.data.metrics if key in asked or is_accuracy(key)]
    rows = [
        {"step": metric.step, key: metric.value}
        for key in keys
        for metric in sorted(client.get_metric_history(run.info.run_id, key), key=lambda metric: metric.step)
    ]
    if not rows:
        return None
    table = pd.DataFrame(rows).sort_values("step", kind="stable")
    params = {name: value for name, value in run.data.params.items() if name not in {"step", "run_id", *keys}}
    return table.assign(run_id=run.info.run_id, **params)
