"""What stopping did to a sweep: how many runs it ended, what that saved, and how often an audit finds it wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokcore.records.run_record import Outcome

if TYPE_CHECKING:
    import pandas as pd


def stopping_report(runs: pd.DataFrame, budget: int) -> str:
    """Return in a sentence what stopping did, from the run table of a sweep whose rule has this budget.

    A forecast that a run will not generalise has a rate of false alarms among the audited runs. How many of them
    memorise after all is not counted.
    """
    stopped = runs[runs["outcome"] == str(Outcome.STOPPED)]
    audited = runs[(runs["outcome"] != str(Outcome.STOPPED)) & (runs["ruled_out"] > 0)]
    left = int((runs["steps"].clip(upper=budget) - runs["last_step"])[stopped.index].sum())
    said = f"{len(stopped)} of {len(runs)} runs were stopped early, {left:,} optimizer steps before their budgets' ends"
    if len(audited):
        wrong = int(audited["t_gen_event"].astype(bool).sum())
        return (
            f"{said}; of {len(audited)} audited runs that would have been stopped, {wrong} generalised after all "
            f"(rate of false alarms {wrong / len(audited):.1%})"
        )
    if not len(stopped):
        return said
    if (stopped["ruled_out"] > 0).any():
        return f"{said}; no audited run would have been stopped, so that the rate of false alarms is not known"
    return (
        f"{said}, for being behind runs beside them; that says nothing of what they would have become, late bloomers "
        "may be among them, and none is audited"
    )
