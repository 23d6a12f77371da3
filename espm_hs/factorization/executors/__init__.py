"""Passes over counts: kernels called for all blocks, and sums in a fixed order."""

from espm_hs.factorization.executors.base import Executor
from espm_hs.factorization.executors.threads import Passes, passes_over

__all__ = ["Executor", "Passes", "passes_over"]
