"""What recipes cost: stated, and estimated here from a measured step, as ``grokmap plan`` does.

    python -m benchmarks.recipes [NAME ...]

A recipe's cost is what all its runs take if each spends its whole budget, in cohorts of the best width, measures and
starting apart.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

from cluster.plan import example
from grokcore.engine.grouping import problem_key
from grokcore.engine.width_tuning import measured_width, run_steps_per_second
from grokcore.run_config import RunConfig
from sweeps.recipes.recipe import names, recipe
from sweeps.spec.sweep_spec import SweepSpec


def estimate(spec: SweepSpec) -> float:
    """Return the core-seconds of all runs at their whole budgets, from steps measured here.

    A run of every kind in the space's lists is timed, with the other fields at their first values; ranges and numbers
    count as in the middle of the space.
    """
    problems: dict[str, list[RunConfig]] = defaultdict(list)
    for config in (example(spec), *spec.whole_space.ends()):
        problems[problem_key(config)].append(config)
    configs = [found[0] for found in problems.values()]
    share = spec.runs / len(configs)
    total = 0.0
    for config in configs:
        width = measured_width(config, "cpu", max(1, round(share)))
        total += share * config.steps / run_steps_per_second(config, width)
    return total


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(names()))
    for name in parser.parse_args().names:
        found = recipe(name)
        for spec, stated in ((found.spec, found.cost), (found.quick, found.quick_cost)):
            if spec is not None and stated is not None:
                print(
                    f"{spec.name:32} stated {stated:9,.0f}   estimated {estimate(spec):9,.0f} core-seconds", flush=True
                )


if __name__ == "__main__":
    main()
