"""No test is skipped but by tests/needs.py: so the table at the end of a run has every skip, with what lifts it."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
SKIPS = {"skip", "skipif", "importorskip", "SkipTest", "skipUnless"}


def test_only_the_table_of_needs_skips():
    found = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != TESTS / "needs.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in SKIPS
    ]
    assert found == [], (
        f"{', '.join(found)}: mark the test `browser`, `cluster`, `postgres` or `cuda` and let tests/needs.py skip it, "
        "or choose its parameters so that there is nothing to skip"
    )
