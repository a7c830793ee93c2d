"""Fixed weight norm: training on a sphere in weight space (Liu et al. 2022, Omnigrok, arXiv 2210.01117)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokcore.optimizers.base import Optimizer
from grokcore.transforms.base import Transform, Weights, inner_products

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FixedNorm(Transform):
    """After each step θ ← θ · ‖θ₀‖ / ‖θ‖, over all parameters together; `initialisation.scale` chooses ‖θ₀‖."""

    def misfits(self, optimizer: Optimizer) -> Iterator[str]:
        """Yield that what decays is scaled back at once."""
        for name in ("decay", "embedding_decay"):
            value = getattr(optimizer, name)
            if value and optimizer.decay_to == "zero":
                yield (
                    f"optimizer.{name} = {value}: shrinks weights that transform = fixed_norm scales back at "
                    "once; set it to 0."
                )

    def state(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the initial norm."""
        return {"norm": inner_products(flat, flat).sqrt()}

    def change_weights(self, weights: Weights) -> None:
        """Scale back to the initial norm."""
        flat = weights.flat
        norm = inner_products(flat, flat).sqrt()
        flat.mul_((weights.state["norm"] / norm.clamp_min(1e-300)).to(flat.dtype))
