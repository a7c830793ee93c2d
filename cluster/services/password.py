"""Password: closes the head's MLflow server to other users of the head, by MLflow's own basic-auth.

``python -m cluster.services lock`` makes a password and restarts the server behind it. It lies on the head alone, in a
file that only its owner may read; every process of the cluster's user takes it from there (see `host.sh`).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cluster.services.run_database import server_folder

USER = "admin"
"""The one user that the server knows at first; MLflow's own API adds more."""


def secret_file() -> Path:
    """Return the file of the password: lines that a shell can read."""
    return Path.home() / ".grokmap" / "mlflow.env"


def read_secrets() -> dict[str, str]:
    """Return the environment that the file holds; empty where the server is not locked."""
    path = secret_file()
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def make_secrets() -> Path:
    """Make a password and the server's secret, unless they are there, and return their file."""
    path = secret_file()
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        values = {
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": secrets.token_urlsafe(24),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        }
        # Never readable by others, not even for a moment.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())
    return path


def server_environment() -> dict[str, str]:
    """Return what a locked server needs in its environment; empty where it is not locked."""
    known = read_secrets()
    if not known:
        return {}
    settings = server_folder() / "auth.ini"
    users = server_folder() / "users.db"
    settings.write_text(f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{users}\n")
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_USERNAME": known["MLFLOW_TRACKING_USERNAME"],
        "MLFLOW_AUTH_ADMIN_PASSWORD": known["MLFLOW_TRACKING_PASSWORD"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": known["MLFLOW_FLASK_SERVER_SECRET_KEY"],
    }
