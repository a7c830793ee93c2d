"""What stopping did to a sweep: how many runs it ended, what that saved, and how often an audit finds it wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grokcore.records.run_record import Outcome

if TYPE_CHECKING:
    import pandas as pd


def stopping_report(runs: pd.DataFrame, budget: int) -> str:
    """Return in a sentence what stopping did, from the run table of a sweep whose rule has this budget.

    A forecast has a rate of false alarms among the audited runs: of those that would have been stopped, the share that
    generalised after all, or had not memorised and did after all.
    """
    stopped = runs[runs["outcome"] == str(Outcome.STOPPED)]
    left = int((runs["steps"].clip(upper=budget) - runs["last_step"])[stopped.index].sum())
    said = f"{len(stopped)} of {len(runs)} runs were stopped early, {left:,} optimizer steps before their budgets' ends"
    audit = audited(runs)
    if len(audit):
        wrong = int((audit["generalised"] | audit["memorised"]).sum())
        return (
            f"{said}; of {len(audit)} audited runs that would have been stopped, {int(audit['generalised'].sum())} "
            f"generalised after all, and of {int(audit['before_memorising'].sum())} of them that had not memorised "
            f"{int(audit['memorised'].sum())} did after all (rate of false alarms {wrong / len(audit):.1%})"
        )
    if not len(stopped):
        return said
    if (stopped["ruled_out"] > 0).any():
        return f"{said}; no audited run would have been stopped, so that the rate of false alarms is not known"
    return (
        f"{said}, for being behind runs beside them; that says nothing of what they would have become, late bloomers "
        "may be among them, and none is audited"
    )


def audited(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what became of the audited runs of a table that would have been stopped, (N, 3) booleans.

    `generalised`: it did after all, within what was ruled out. `before_memorising`: it had not memorised when it would
    have been stopped; `memorised`: nor had it then, and it did after all, within the same.
    """
    from analysis.forecast.hazard_rule import step_said

    gone_on = runs[(runs["outcome"] != str(Outcome.STOPPED)) & (runs["ruled_out"] > 0)]
    said = np.array([step_said(reason) for reason in gone_on["reason"]])
    within = {
        name: gone_on[f"{name}_event"].astype(bool) & (gone_on[name] <= gone_on["ruled_out"])
        for name in ("t_mem", "t_gen")
    }
    before = ~gone_on["t_mem_event"].astype(bool) | (gone_on["t_mem"] > said)
    return gone_on[[]].assign(generalised=within["t_gen"], before_memorising=before, memorised=before & within["t_mem"])
