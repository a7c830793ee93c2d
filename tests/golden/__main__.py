"""``python -m tests.golden`` prints the golden table of bits anew, of the configurations it has now.

Do not simply regenerate: a run whose bits have changed is another run. Say in a decision what changed them.
"""

from __future__ import annotations

import json
import sys

from tests.golden.bits import TABLE, bits_of, here

if __name__ == "__main__":
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    runs = {name: {"config": run["config"], **bits_of(run["config"])} for name, run in table["runs"].items()}
    json.dump({"environment": here(), "runs": runs}, sys.stdout, indent=1)
    print()
