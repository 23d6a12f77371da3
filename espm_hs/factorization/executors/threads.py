"""Passes over all counts: blocks handed to threads, sums in a fixed order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock

import numpy as np

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.kernels.exact import curvature_pass, exact_pass
from espm_hs.factorization.kernels.pixel_updates import MODEL_FLOOR, block_pass
from espm_hs.factorization.kernels.smooth import smooth_pass
from espm_hs.factorization.problem import SPARSITY_BEND, Problem

# A pixel is left when the last full step promised to lower its F by less (in nats):
# convergence is quadratic, what remains is about the square of that.
SETTLED = 1e-6


class Passes:
    """Runs the kernels over the blocks of the counts, on threads."""

    def __init__(self, counts: Counts, problem: Problem, n_jobs: int, dose=None):
        self.counts = counts
        self.problem = problem
        self.n_workers = min(n_jobs, counts.blocks.size - 1)
        # mean counts per pixel, from which every scale below follows
        dose = dose or max(counts.dose, 1e-300)
        self.on_simplex = problem.simplex == "abundances"
        # mean abundance of a pixel: 1 on its simplex, else its counts
        mean = 1.0 if self.on_simplex else dose
        k = problem.n_components
        self.smoothness = problem.penalties.strengths(k) * dose / mean**2
        self.floor = MODEL_FLOOR * dose / counts.n_channels
        smooth = problem.penalties.smooth
        self.grid = problem.grid if smooth else Grid.unconnected(counts.n_pixels)
        every = np.empty((0, k), bool)
        self.allowed = every if problem.support is None else problem.support
        self.n_passes = 0

    def __enter__(self):
        others = self.n_workers - 1
        self.pool = ThreadPoolExecutor(others) if others else nullcontext()
        self.pool.__enter__()
        return self

    def __exit__(self, *error):
        return self.pool.__exit__(*error)

    def hold(self, H):
        """Return abundances where they can be worked on."""
        return H

    def run(self, V, H, *, n_steps=1, step_tol=0.0, with_A=True, with_loss=False):
        """Update H in place ``n_steps`` times; return A and F where asked for.

        A (n_channels, n_components) sums (x / y) h over the pixels. F is that of the V
        given and the H left behind; NaN unless ``with_loss``.
        """
        D, D_sum = self._spectra(V)
        bound = self.on_simplex or self.grid.connected
        plain = not bound and self.problem.penalties.sparsity == 0
        counts, dense = self.counts, self.counts.table is not None
        values = counts.table if dense else counts.values
        D = np.ascontiguousarray(D.T) if dense else D
        A = self._zeros(D.shape if with_A else (0, 0))
        loss = self._zeros(())
        kernel = block_pass(self.problem.n_components, plain, dense)

        def work(block, colour):
            loss[block] += kernel(
                counts.indptr,
                counts.channels,
                values,
                *counts.blocks[block : block + 2],
                D,
                D_sum,
                self.floor,
                H,
                n_steps,
                step_tol,
                self.on_simplex,
                self.problem.penalties.sparsity,
                SPARSITY_BEND,
                np.outer(self.grid.weights, self.smoothness),
                self.grid.neighbours,
                self.allowed,
                self.grid.colours,
                colour,
                with_loss,
                A[block],
            )

        self._on_chessboard(work)
        F = float(loss.sum() + self.counts.saturated) if with_loss else np.nan
        A = A.sum(axis=0)
        return A.T if dense else A, F

    def solve_pixels(self, V, H, *, with_curvature=False, n_steps=50):
        """Solve every pixel for H in place; return A, F and S.

        S (n_channels, k (k + 1) / 2) sums x / y**2 h_i h_j over the pixels, for
        i >= j; None unless ``with_curvature``. There must be no smoothness.
        """
        D, D_sum = self._spectra(V)
        k = D.shape[1]
        A = self._zeros(D.shape)
        n_pairs = k * (k + 1) // 2
        S = self._zeros((D.shape[0] if with_curvature else 0, n_pairs))
        loss = self._zeros(())
        kernel = exact_pass(k)

        def work(block):
            loss[block] = kernel(
                *self._block(block),
                D,
                D_sum,
                self.floor,
                H,
                self.allowed,
                n_steps,
                self.on_simplex,
                self.problem.penalties.sparsity,
                SPARSITY_BEND,
                self._concordance,
                SETTLED * self.counts.unit,
                A[block],
                S[block],
            )

        self._on_all_blocks(work)
        F = float(loss.sum() + self.counts.saturated)
        return A.sum(axis=0), F, S.sum(axis=0) if with_curvature else None

    def smooth_pixels(self, V, H, *, with_loss=False):
        """Take a Newton step in every pixel, in place; return F as `run` does."""
        D, D_sum = self._spectra(V)
        loss = self._zeros(())
        kernel = smooth_pass(D.shape[1])

        def work(block, colour):
            loss[block] += kernel(
                *self._block(block),
                D,
                D_sum,
                self.floor,
                H,
                self.on_simplex,
                self.problem.penalties.sparsity,
                SPARSITY_BEND,
                np.outer(self.grid.weights, self.smoothness),
                self.grid.neighbours,
                self.allowed,
                self.grid.colours,
                colour,
                self._concordance,
                with_loss,
            )

        self._on_chessboard(work)
        return float(loss.sum() + self.counts.saturated) if with_loss else np.nan

    def curvature(self, V, H, dV):
        """Change of A and of the sum of H with V, H following as a minimum."""
        D, _ = self._spectra(V)
        dD, _ = self._spectra(dV)
        dD_sum = dD.sum(axis=0) if self.on_simplex else np.zeros(D.shape[1])
        dA = self._zeros(D.shape)
        dH_sum = self._zeros(D.shape[1:])
        kernel = curvature_pass(D.shape[1])

        def work(block):
            kernel(
                *self._block(block),
                D,
                dD,
                dD_sum,
                self.floor,
                H,
                self.problem.penalties.sparsity,
                SPARSITY_BEND,
                dA[block],
                dH_sum[block],
            )

        self._on_all_blocks(work)
        return dA.sum(axis=0), dH_sum.sum(axis=0)

    def _spectra(self, V):
        """Return D = G W and its sums over the channels, never zero."""
        D = self.problem.spectra(self.problem.compose(V))
        return D, np.maximum(D.sum(axis=0), np.finfo(float).tiny)

    @property
    def _concordance(self):
        """Inverse root of the smallest count, see `pixel_newton`."""
        return 1.0 / np.sqrt(self.counts.smallest)

    def _zeros(self, shape):
        return np.zeros((self.counts.blocks.size - 1, *shape))

    def _block(self, block):
        counts = self.counts
        first, last = counts.blocks[block], counts.blocks[block + 1]
        return counts.indptr, counts.channels, counts.values, first, last

    def _on_chessboard(self, work):
        """Call ``work(block, colour)`` for all blocks of one colour, then the other."""
        for colour in range(2 if self.grid.connected else 1):
            self._on_all_blocks(work, colour)

    def _on_all_blocks(self, work, *arguments):
        """Call ``work(block, *arguments)`` for each block; each thread takes turns."""
        self.n_passes += 1
        turns = [Lock() for _ in range(self.n_workers)]
        stopped = False

        def some(worker):
            for block in range(worker, self.counts.blocks.size - 1, self.n_workers):
                with turns[worker]:
                    if stopped:
                        return
                    work(block, *arguments)

        # the calling thread takes a share too: waking another one costs time
        try:
            tasks = [self.pool.submit(some, i) for i in range(1, self.n_workers)]
            some(0)
            for task in tasks:
                task.result()
        except BaseException:
            # H belongs to the threads until they have seen that it is over, also to
            # one of a task that was not given back yet when Ctrl-C came
            stopped = True
            for turn in turns[1:]:
                with turn:
                    pass
            raise
