"""Play: the league, or a part of it, method by method; what a folder keeps already is not trained again."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.maps.regime_map import RegimeMap
from grokcore.atomic_files import replacing
from grokcore.errors import ConfigError, DataError
from grokcore.numerics.processor import pin_threads
from sweeps.league import whole_map
from sweeps.league.entries import BASELINE, Method, chosen, methods, problems
from sweeps.league.ledger import Ledger
from sweeps.league.plan import FULL, QUICK, Plan
from sweeps.league.search import Cell, completed, contest

MAPS = "maps.parquet"
"""File of how far edges moved."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for."""

    methods: tuple[str, ...]
    """Names of methods; the baseline is played with them."""
    problems: tuple[str, ...]
    """Names of problems."""
    quick: bool
    """Whether the cheap plan is played."""
    folder: Path
    """Where runs are kept."""
    own: Path | None = None
    """Folder of methods of one's own."""

    @property
    def plan(self) -> Plan:
        """Return the plan."""
        return QUICK if self.quick else FULL

    @property
    def price(self) -> float:
        """Return the core-seconds that it takes at most."""
        known = methods(self.own)
        on = [problems()[name] for name in self.problems]
        return self.plan.price([known[name] for name in self.methods], on, whole_map.MAPPED)

    def check_budget(self, budget: float | None) -> None:
        """Raise `ConfigError` if it costs more than `budget` core-seconds; says the cost and what is cheaper."""
        if budget is None or self.price <= budget:
            return
        quick = "" if self.quick or replace(self, quick=True).price > budget else "--quick, or "
        takes = f"takes up to {self.price:,.0f} core-seconds, more than the budget of {budget:,.0f}"
        raise ConfigError([f"this league {takes}. Cheaper: {quick}fewer of it with --method and --problem."])


def order(
    named: Sequence[str], on: Sequence[str], folder: Path, *, quick: bool = False, own: Path | None = None
) -> Order:
    """Return what is asked for, all where nothing is named; raises `ConfigError` with the nearest for unknown names.

    A method that fits none of the problems is an error, too, since its file must be wrong.
    """
    known = methods(own)
    players = chosen("method", [*named, BASELINE] if named else [], known)
    stage = chosen("problem", on, problems())
    found = Order(methods=tuple(players), problems=tuple(stage), quick=quick, folder=folder, own=own)
    for name in players:
        reasons = [cell.misfit() for cell in cells(found, name)]
        if all(reasons) and (not on or name in named):
            raise ConfigError([f"method {name} fits none of {', '.join(stage)}: {reasons[0]}"])
    return found


def cells(asked: Order, name: str) -> list[Cell]:
    """Return a method on each of the problems at each of its fractions, the cheapest first."""
    known = methods(asked.own)
    method = completed(known[name], known[BASELINE])
    return [
        Cell(method, problem, fraction)
        for problem in sorted((problems()[name] for name in asked.problems), key=lambda problem: problem.cost)
        for fraction in asked.plan.fractions_of(problem)
    ]


def play(asked: Order, slots: int) -> Iterator[Ledger]:
    """Yield every method's ledger as it is done, `slots` at a time; a failure is raised when the others are done."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    failures: list[BaseException] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(slots, len(asked.methods)), context) as pool:
        going: list[Future[Ledger]] = [pool.submit(play_method, asked, name) for name in asked.methods]
        try:
            for done in as_completed(going):
                if (error := done.exception()) is not None:
                    failures.append(error)
                else:
                    yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise failures[0]


def play_method(asked: Order, name: str) -> Ledger:
    """Tune a method and run its finals on all problems, and its map; return its ledger."""
    pin_threads(1)
    ledger = Ledger.open(asked.folder / f"{name}.parquet", name, asked.plan.name)
    mapped: list[tuple[Cell, dict[str, Any]]] = []
    for cell in cells(asked, name):
        if (reason := cell.misfit()) is not None:
            ledger.absent[cell.problem.name] = reason
            continue
        values = contest(cell, asked.plan, ledger)
        if cell.problem.name == whole_map.MAPPED and cell.fraction == max(cell.problem.fractions):
            mapped = [(cell, values)]
    for cell, values in mapped:
        whole_map.train_map(cell, values, asked.plan, ledger)
    ledger.save()
    return ledger


def kept(folder: Path, known: Mapping[str, Method]) -> dict[str, Ledger]:
    """Return the ledgers that a folder has of methods that there are, in their order."""
    return {name: Ledger.load(path) for name in known if (path := folder / f"{name}.parquet").exists()}


def compare_maps(folder: Path, ledgers: Mapping[str, Ledger]) -> Path | None:
    """Write how far each method's map moved from the baseline's; None if the baseline has none.

    What was compared already, of the same runs, is not compared again: each map is written as it is done.
    """
    tables = {name: whole_map.table_of(ledger) for name, ledger in ledgers.items()}
    tables = {name: table for name, table in tables.items() if len(table)}
    if BASELINE not in tables:
        return None
    budget = problems()[whole_map.MAPPED].steps
    before = {row["method"]: row for row in map_rows(folder)}
    marks = {name: _mark(tables[BASELINE], table) for name, table in tables.items()}
    fresh = [name for name in tables if name != BASELINE and before.get(name, {}).get("runs_id") != marks[name]]
    rows = {name: before[name] for name in tables if name != BASELINE and name not in fresh}
    _write_maps(folder, rows)
    if not fresh:
        return folder / MAPS
    base = whole_map.fitted(tables[BASELINE], budget)
    for name in fresh:
        rows[name] = {"method": name, "runs_id": marks[name], **_moved(base, tables[name], budget)}
        _write_maps(folder, rows)
    return folder / MAPS


def _write_maps(folder: Path, rows: Mapping[str, Mapping[str, object]]) -> None:
    with replacing(folder / MAPS) as temporary:
        pd.DataFrame([rows[name] for name in sorted(rows)]).to_parquet(temporary, index=False)


def _moved(base: RegimeMap, table: pd.DataFrame, budget: int) -> dict[str, object]:
    shares = {"generalised": int(table["t_gen_event"].sum()), "runs": len(table)}
    try:
        found = whole_map.moved(base, whole_map.fitted(table, budget))
    except DataError as error:
        return {"shift": float("nan"), "low": float("nan"), "high": float("nan"), "said": str(error), **shares}
    if found is None:
        return {"shift": float("nan"), "low": float("nan"), "high": float("nan"), "said": "no edge", **shares}
    return {"shift": found.shift, "low": found.low, "high": found.high, "said": found.sentence, **shares}


def _mark(*tables: pd.DataFrame) -> str:
    text = json.dumps([table.to_dict("list") for table in tables], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def map_rows(folder: Path) -> list[dict[str, object]]:
    """Return what is kept of how far edges moved; nothing where no map was compared."""
    path = folder / MAPS
    rows = pd.read_parquet(path).to_dict("records") if path.exists() else []
    return [{str(name): value for name, value in row.items()} for row in rows]
