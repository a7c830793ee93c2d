"""What can go wrong with MLflow, in one sentence, and whether waiting can help."""

from __future__ import annotations

from typing import Final

from grokcore.errors import GrokmapError

PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers of a server that may be others a while later."""


class TrackingError(GrokmapError):
    """MLflow could not be written; the sweep itself is safe."""


class PassingTrackingError(TrackingError):
    """MLflow could not be written now; the same may succeed in a while."""


class TrackingBusyError(PassingTrackingError):
    """Another process is writing this sweep to MLflow."""


def trouble(error: Exception, uri: str) -> TrackingError:
    """Return what an error of MLflow, SQLAlchemy, requests or SQLite means; one of ours is returned as it is."""
    if isinstance(error, TrackingError):
        return error
    kind = PassingTrackingError if _passes(error) else TrackingError
    return kind(f"MLflow at {uri} could not be written: {first_sentence(error)}.{_remedy(error)}")


def first_sentence(error: BaseException) -> str:
    """Return the first line of an error without its full stop."""
    cause = error.__cause__ if type(error).__name__ == "MlflowException" and error.__cause__ else error
    lines = str(cause).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")


def _status(error: Exception) -> int | None:
    """Return the HTTP status that MLflow's errors stand for; None for errors of others."""
    ask = getattr(error, "get_http_status_code", None)
    return int(ask()) if ask is not None else None


def _passes(error: Exception) -> bool:
    from sqlalchemy.exc import InterfaceError, OperationalError

    status = _status(error)
    if status is not None:
        return status in PASSING
    return isinstance(error, (OSError, OperationalError, InterfaceError))


def _remedy(error: Exception) -> str:
    if _status(error) in (401, 403):
        return " Give MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD of a user who may write there."
    return ""
