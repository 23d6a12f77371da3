"""Passes over counts: kernels called for all blocks, and sums in a fixed order."""

from __future__ import annotations

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.problem import Problem


def passes_over(counts, problem: Problem, n_jobs: int, dose=None):
    """Return `Passes` on threads, or, for counts on a cluster, there."""
    if isinstance(counts, Counts):
        return Passes(counts, problem, n_jobs, dose)
    from espm_hs.factorization.executors.dask import ClusterPasses

    return ClusterPasses(counts, problem, dose)
