"""On a machine without browser, hosts, database and card the tests pass, and one table says all that did not run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).parents[2]
MARKED = " or ".join(need.marker for need in needs.NEEDS)


def bare(folder, *words, **changes):
    """Run pytest in a process that finds none of the programs; give its exit code and what it said."""
    hidden = {"GROKMAP_PROGRAMS": str(folder), "PLAYWRIGHT_BROWSERS_PATH": str(folder), "CUDA_VISIBLE_DEVICES": ""}
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "CHROMIUM")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment | hidden | changes, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def in_table(said):
    """Return the table's rows as reason to number of tests."""
    rows = said.partition("why, and what lifts it\n")[2]
    return {reason: int(count) for count, reason in re.findall(r"^ +(\d+)  (.+)$", rows, re.MULTILINE)}


@pytest.mark.slow
def test_without_any_part_the_marked_tests_are_skipped_and_the_table_counts_each_with_what_lifts_it(tmp_path):
    code, said = bare(tmp_path, "-m", MARKED)
    assert code == 0, said[-3000:]
    (skipped,) = re.findall(r"(\d+) skipped, \d+ deselected in", said)
    assert " passed" not in said
    rows = in_table(said)
    assert sum(rows.values()) == int(skipped) >= 30
    for need in needs.NEEDS:
        if need.marker in ("browser", "cluster", "postgres"):
            assert [reason for reason in rows if reason.endswith(need.install)], need.marker
    assert f"not run here: {skipped} tests" in said


@pytest.mark.slow
def test_in_ci_a_missing_part_is_a_failure_that_says_what_installs_it(tmp_path):
    code, said = bare(tmp_path, "-m", "postgres", "tests/cluster/services", CI="true")
    assert code == 1
    assert "needs PostgreSQL: apt-get install postgresql. CI skips nothing for want of a part." in said
    assert " skipped" not in said


def test_a_graphics_card_is_the_one_part_that_ci_does_without():
    assert [need.marker for need in needs.NEEDS if need.optional] == ["cuda"]


def test_a_program_that_not_every_machine_has_is_not_started_without_its_marker():
    for name, marker in (("/usr/sbin/sshd", "cluster"), ("rsync", "cluster"), ("initdb", "postgres")):
        with pytest.raises(AssertionError, match=f"starts {Path(name).name}, .*mark it .*{marker}"):
            subprocess.run([name, "--version"], check=False)


def test_the_last_line_of_make_test_is_honest(monkeypatch, capsys):
    monkeypatch.setattr(needs, "NEEDS", (needs.NEEDS[0],))
    needs.main(["cluster"])
    assert capsys.readouterr().out == "All of these tests ran and passed.\n"
    lacking = needs.Need(marker="moon", what="a moon", install="wait", programs=(), missing=lambda: "the moon")
    monkeypatch.setattr(needs, "NEEDS", (lacking,))
    needs.main(["moon"])
    said = capsys.readouterr().out
    assert "NOT run" in said
    assert "tests marked moon: needs the moon: wait" in said


def test_a_browser_named_by_hand_that_is_not_there_is_not_replaced_by_another(monkeypatch, tmp_path):
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nowhere"))
    needs.chromium.cache_clear()
    try:
        assert needs.chromium() is None
        (tmp_path / "nowhere").touch()
        needs.chromium.cache_clear()
        assert needs.chromium() == str(tmp_path / "nowhere")
    finally:
        needs.chromium.cache_clear()
