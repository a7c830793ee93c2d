"""What to sweep. Change it, then run `python sweep.py` here, or `ray submit cluster.yaml sweep.py` on a cluster."""

from sweeps import Choice, Range, RegimeRule, SweepSpec, main

spec = SweepSpec(
    name="default",
    run={
        "task": {"name": "modular_addition", "modulus": 31},
        "model": {"name": "mlp", "width": 64},
        "optimizer": {"name": "adamw", "betas": [0.9, 0.98]},
        "steps": 5000,
    },
    space={
        "fraction": Range(low=0.2, high=0.9),
        "decay": Range(low=0.03, high=10, log=True),
        "rate": Range(low=0.001, high=0.1, log=True),
        "seed": Choice(values=(0, 1, 2)),
    },
    rule=RegimeRule(threshold=0.9, budget=5000, ratio=5),
    runs=256,
    stopping="hazard",  # runs with next to no chance to generalise any more are stopped; "none" trains all to the end
)

if __name__ == "__main__":
    main(spec)
