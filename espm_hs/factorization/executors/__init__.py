"""Passes over counts: kernels called for all blocks, and sums in a fixed order."""

from __future__ import annotations

from typing import Any

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.executors.base import Executor
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.problem import Problem

__all__ = ["Executor", "Passes", "passes_over"]


def passes_over(
    counts: Any, problem: Problem, n_jobs: int, mean_counts: float | None = None
) -> Executor:
    """Return `Passes` on threads, or, for counts on a cluster, there."""
    if isinstance(counts, Counts):
        return Passes(counts, problem, n_jobs, mean_counts)
    from espm_hs.factorization.executors.dask import ClusterPasses

    return ClusterPasses(counts, problem, mean_counts)
