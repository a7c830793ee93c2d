"""What stopping did to a sweep: how many runs it ended, what that saved, and how often an audit finds it wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.records.run_record import Outcome

if TYPE_CHECKING:
    import pandas as pd

AUDIT = "audited: "
"""How the reason of a run begins that would have been stopped and went on."""


def stopping_report(runs: pd.DataFrame, budget: int) -> str:
    """Return in a sentence what stopping did, from the run table of a sweep whose rule has this budget."""
    stopped = runs[runs["outcome"] == str(Outcome.STOPPED)]
    audited = runs[runs["reason"].astype(str).str.startswith(AUDIT)]
    wrong = int(audited["t_gen_event"].astype(bool).sum())
    left = int((runs["steps"].clip(upper=budget) - runs["last_step"])[stopped.index].sum())
    said = f"{len(stopped)} of {len(runs)} runs were stopped early, {left:,} optimizer steps before their budgets' ends"
    if not len(audited):
        return f"{said}; no audited run would have been stopped, so that the rate of false alarms is not known"
    return (
        f"{said}; of {len(audited)} audited runs that would have been stopped, {wrong} generalised after all "
        f"(rate of false alarms {wrong / len(audited):.1%})"
    )
