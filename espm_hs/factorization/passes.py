"""Passes over all counts: blocks handed to threads, sums in a fixed order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np

from espm_hs.factorization.counts import Counts
from espm_hs.factorization.grid import Grid
from espm_hs.factorization.kernels import MODEL_FLOOR, block_pass
from espm_hs.factorization.problem import SPARSITY_BEND, Problem


class Passes:
    """Runs the kernel over the blocks of the counts, on threads."""

    def __init__(self, counts: Counts, problem: Problem, n_jobs: int, dose=None):
        self.counts = counts
        self.problem = problem
        self.n_workers = min(n_jobs, counts.blocks.size - 1)
        self.kernel = block_pass(problem.n_components)
        # mean counts per pixel, from which every scale below follows
        dose = dose or max(counts.total / counts.n_pixels, 1e-300)
        on_abundances = problem.simplex == "abundances"
        # mean abundance of a pixel: 1 on its simplex, else its counts
        mean = 1.0 if on_abundances else dose
        self.smoothness = problem.penalties.smoothness * dose / mean**2
        self.floor = MODEL_FLOOR * dose / counts.n_channels
        smooth = self.smoothness > 0
        self.grid = problem.grid if smooth else Grid.unconnected(counts.n_pixels)

    def __enter__(self):
        self.pool = (
            ThreadPoolExecutor(self.n_workers) if self.n_workers > 1 else nullcontext()
        )
        self.pool.__enter__()
        return self

    def __exit__(self, *error):
        return self.pool.__exit__(*error)

    def run(self, V, H, *, n_steps=1, step_tol=0.0, with_loss=False):
        """Update H in place ``n_steps`` times; return A and, if asked for, F.

        F is that of the V given and the H left behind; NaN unless ``with_loss``.
        """
        problem = self.problem
        D = problem.spectra(problem.compose(V))
        D_sum = np.maximum(D.sum(axis=0), np.finfo(float).tiny)
        n_blocks = self.counts.blocks.size - 1
        A = np.zeros((n_blocks, *D.shape))
        loss = np.zeros(n_blocks)

        def work(worker, colour):
            for block in range(worker, n_blocks, self.n_workers):
                loss[block] += self.kernel(
                    self.counts.indptr,
                    self.counts.channels,
                    self.counts.values,
                    self.counts.blocks[block],
                    self.counts.blocks[block + 1],
                    D,
                    D_sum,
                    self.floor,
                    H,
                    n_steps,
                    step_tol,
                    problem.simplex == "abundances",
                    problem.penalties.sparsity,
                    SPARSITY_BEND,
                    self.smoothness,
                    self.grid.neighbours,
                    self.grid.colours,
                    colour,
                    with_loss,
                    A[block],
                )

        for colour in range(2 if self.grid.connected else 1):
            self._on_all_workers(work, colour)
        F = np.nan
        if with_loss:
            F = loss.sum() + self.counts.saturated
            if self.smoothness > 0:
                F += 0.5 * self.smoothness * self.grid.roughness(H)
        return A.sum(axis=0), float(F)

    def _on_all_workers(self, work, colour):
        if self.n_workers == 1:
            work(0, colour)
            return
        tasks = [self.pool.submit(work, i, colour) for i in range(self.n_workers)]
        try:
            for task in tasks:
                task.result()
        except KeyboardInterrupt:
            # H belongs to the threads until they are through
            for task in tasks:
                task.exception()
            raise
