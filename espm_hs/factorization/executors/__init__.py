"""Passes over counts: kernels called for all blocks, and sums in a fixed order."""

from espm_hs.factorization.executors.threads import (
    Executor,
    Passes,
    one_blas_thread,
    passes_over,
)

__all__ = ["Executor", "Passes", "one_blas_thread", "passes_over"]
