"""Make the files beside this one with the tracker's own package: `pip install wandb`, then run it.

MLflow and Optuna are here anyway: tests of them make what they read.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

FILES = Path(__file__).parent / "files"
CURVES = {
    "slow": ({"lr": 1e-3, "wd": 1.0}, [(0, 0.1, 0.1), (10, 0.5, 0.1), (100, 0.95, 0.2), (1000, 1.0, 0.97)]),
    "fast": ({"lr": 3e-3, "wd": 0.1}, [(0, 0.1, 0.1), (10, 0.92, 0.4), (100, 1.0, 0.93), (1000, 1.0, 1.0)]),
    "never": ({"lr": 1e-4, "wd": 0.0}, [(0, 0.1, 0.1), (10, 0.2, 0.1), (100, 0.91, 0.1), (1000, 1.0, 0.3)]),
}
"""Settings, and (step, training accuracy, validation accuracy), by the run's name."""


def weights_and_biases(folder: str) -> None:
    import wandb

    settings = wandb.Settings(
        mode="offline", silent=True, host="host", username="user", root_dir=folder, x_disable_stats=True,
        x_disable_meta=True, disable_git=True, disable_code=True, console="off", x_save_requirements=False,
        program="train.py", x_disable_machine_info=True,
    )  # fmt: skip
    for name, (config, curve) in CURVES.items():
        nested = {**config, "model": {"width": 32}}
        with wandb.init(project="example", id=name, name=name, config=nested, settings=settings) as run:
            for step, train, val in curve:
                run.log({"train/acc": train, "val": {"acc": val}, "loss": 1 / (1 + step)}, step=step)
    for file in Path(folder).rglob("run-*.wandb"):
        shutil.copy(file, FILES / "wandb" / file.name)


if __name__ == "__main__":
    (FILES / "wandb").mkdir(parents=True, exist_ok=True)
    os.environ |= {"WANDB_ERROR_REPORTING": "false"}
    with tempfile.TemporaryDirectory() as folder:
        weights_and_biases(folder)
    sys.stdout.write(f"{sorted(path.name for path in FILES.rglob('*') if path.is_file())}\n")
