"""What records without a field of its own say in words: until when a forecast ruled out that a run generalises."""

from __future__ import annotations

import re

_RULED_OUT = re.compile(r"(?:audited: )?chance to generalise by step ([\d,]{1,20}) was")


def ruled_out_until(reason: object) -> int:
    """Return the step that the reason of a record, or of a table's row, of before `ruled_out` names; 0 if none."""
    found = _RULED_OUT.match(reason) if isinstance(reason, str) else None
    return 0 if found is None else int(found[1].replace(",", "") or 0)
