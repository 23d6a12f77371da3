"""Passes over all counts, and how threads do them: sums in a fixed order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from threading import Lock
from typing import Any

import numpy as np
import scipy.linalg  # noqa: F401, it has a BLAS of its own, which is to be found
from threadpoolctl import ThreadpoolController

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.kernels.arguments import Block, Rules, Spectra
from espm_hs.factorization.kernels.newton import How, curvature_pass, newton_pass
from espm_hs.factorization.kernels.pixel_updates import (
    MODEL_FLOOR,
    block_pass,
    loss_pass,
)
from espm_hs.factorization.kernels.vectors import (
    aligned_zeros,
    emitted_width,
    padded,
    widened,
)
from espm_hs.factorization.penalties import Scale
from espm_hs.factorization.problem import Problem

# A pixel is left when the last full step promised to lower its F by less (in nats):
# convergence is quadratic, what remains is about the square of that.
SETTLED = 1e-6


@cache
def _libraries() -> ThreadpoolController:
    """Return the libraries with threads: to look for them takes 10 ms each time."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager:
    """Keep BLAS, as long as the context lasts, from threads of its own.

    Matrix products between passes are small, and these threads would only spin on the
    cores that the passes need.
    """
    return _libraries().limit(limits=1, user_api="blas")


class Executor(ABC):
    """Passes over all counts, as a context manager.

    Sums over the pixels are formed block by block in a fixed order: the results have
    the same bits for any number of workers.

    The abundances H are what `hold` returns, and are changed in place: on threads the
    array itself, of shape (n_pixels, n_components); on a cluster a `Scattered` array,
    of which each worker holds the rows of its own pixels. Both can be multiplied,
    divided and summed over the pixels. V (n_columns, n_components) are the free
    variables of W, always an array.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, constraints and penalties.
    mean_counts
        Mean counts per pixel of the map that the pixels are part of, from which every
        scale follows; None: those of ``counts``.

    Attributes
    ----------
    n_passes : int
        Passes over the counts so far.
    on_simplex : bool
        Whether the abundances of a pixel sum to 1.
    grid : Grid or None
        Neighbours that are tied: pixels are then visited in two colours.
    """

    def __init__(self, counts: Any, problem: Problem, mean_counts: float | None = None):
        self.counts, self.problem = counts, problem
        self.mean_counts = mean_counts or max(counts.mean_counts, 1e-300)
        self.on_simplex = problem.simplex == "abundances"
        self.grid = problem.tied
        self.n_passes = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    @abstractmethod
    def hold(self, H: Any) -> Any:
        """Return abundances where they can be worked on."""

    @abstractmethod
    def run(
        self,
        V: np.ndarray,
        H: Any,
        *,
        n_steps: int = 1,
        step_tol: float = 0.0,
        with_A: bool = True,
        with_loss: bool = False,
    ) -> tuple[np.ndarray, float]:
        """Update H in place ``n_steps`` times; return A and F where asked for.

        A (n_channels, n_components) sums (x / y) h over the pixels. F is that of the V
        given and the H left behind; NaN unless ``with_loss``.
        """

    @abstractmethod
    def solve_pixels(
        self,
        V: np.ndarray,
        H: Any,
        *,
        with_A: bool = True,
        with_loss: bool = True,
        with_curvature: bool = False,
        n_steps: int = 50,
    ) -> tuple[np.ndarray, float, np.ndarray | None]:
        """Solve every pixel for H in place; return A, F as of `run`, and S.

        S (n_channels, k (k + 1) / 2) sums x / y**2 h_i h_j over the pixels, for
        i >= j; None unless ``with_curvature``. All penalties must be ``of_shares``.
        """

    @abstractmethod
    def smooth_pixels(self, V: np.ndarray, H: Any, *, with_loss: bool = False) -> float:
        """Take a Newton step in every pixel, in place; return F as `run` does."""

    @abstractmethod
    def curvature(
        self, V: np.ndarray, H: Any, dV: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of A and of the sum of H with V, H following as a minimum."""


class Passes(Executor):
    """Runs the kernels over the blocks of the counts, on threads."""

    def __init__(
        self,
        counts: Counts,
        problem: Problem,
        n_jobs: int,
        mean_counts: float | None = None,
    ):
        super().__init__(counts, problem, mean_counts)
        self.n_workers = min(n_jobs, counts.blocks.size - 1)
        self.k = problem.n_components
        self._last_spectra = None, None
        self.wide = emitted_width(self.k)
        self._loss = loss_pass(self.wide, problem.penalties.ours)
        self.floor = MODEL_FLOOR * self.mean_counts / counts.n_channels
        grid = self.grid or Grid.unconnected(counts.n_pixels)
        mean = 1.0 if self.on_simplex else self.mean_counts
        scale = Scale(self.mean_counts, mean, problem.n_components, grid)
        self.terms = problem.penalties.terms(scale)
        # that of the shares, the only one that exact pixels may have
        self.shares = self.terms[0]
        everywhere = np.empty((0, problem.n_components), bool)
        allowed = everywhere if problem.support is None else problem.support
        colours = grid.colours
        self.rules = [Rules(self.on_simplex, allowed, colours, i) for i in range(2)]

    def __enter__(self):
        others = self.n_workers - 1
        self.pool: Any = ThreadPoolExecutor(others) if others else nullcontext()
        self.pool.__enter__()
        return self

    def __exit__(self, *error):
        return self.pool.__exit__(*error)

    def hold(self, H):
        """Return the abundances themselves."""
        return H

    def run(self, V, H, *, n_steps=1, step_tol=0.0, with_A=True, with_loss=False):
        """See `Executor.run`."""
        spectra = self._spectra(V)
        penalties = self.problem.penalties
        plain = not (self.on_simplex or penalties.acts)
        dense = self.counts.table is not None
        if dense:
            spectra = spectra._replace(D=widened(spectra.D.T))
        A = self._zeros(spectra.D.shape if with_A else (0, spectra.D.shape[1]))
        loss = self._zeros(())
        kernel = block_pass(self.wide, self.on_simplex, penalties.ours)

        def work(n, colour):
            fixed = self._block(n, dense), spectra, self.rules[colour], self.terms
            kernel(*fixed, H, plain, n_steps, step_tol, A[n])
            if with_loss:
                loss[n] += self._loss(*fixed, H)

        self._on_chessboard(work)
        F = float(loss.sum() + self.counts.saturated) if with_loss else np.nan
        return self._of_heights(V, unpadded(A.sum(axis=0), self.problem, dense)), F

    def solve_pixels(
        self,
        V,
        H,
        *,
        with_A=True,
        with_loss=True,
        with_curvature=False,
        n_steps=50,
    ):
        """See `Executor.solve_pixels`."""
        spectra = self._spectra(V)
        A = self._zeros(spectra.D.shape if with_A else (0, 0))
        n_pairs = self.k * (self.k + 1) // 2
        pairs = (len(spectra.D), padded(n_pairs)) if with_curvature else (0, 0)
        S, loss = self._zeros(pairs), self._zeros(())
        kernel = newton_pass(self.wide, self.problem.penalties.ours)
        settled = SETTLED * self.counts.unit
        how = How(True, n_steps, self._concordance, settled)

        def work(n):
            fixed = self._block(n), spectra, self.rules[0], self.terms
            kernel(*fixed, H, how, A[n], S[n])
            if with_loss:
                loss[n] = self._loss(*fixed, H)

        self._on_all_blocks(work)
        F = float(loss.sum() + self.counts.saturated) if with_loss else np.nan
        S = S.sum(axis=0)[:, :n_pairs] if with_curvature else None
        return unpadded(A.sum(axis=0), self.problem), F, S

    def smooth_pixels(self, V, H, *, with_loss=False):
        """See `Executor.smooth_pixels`."""
        spectra = self._spectra(V)
        loss, nothing = self._zeros(()), np.empty((0, 0))
        kernel = newton_pass(self.wide, self.problem.penalties.ours)
        how = How(False, 1, self._concordance, 0.0)

        def work(n, colour):
            fixed = self._block(n), spectra, self.rules[colour], self.terms
            kernel(*fixed, H, how, nothing, nothing)
            if with_loss:
                loss[n] += self._loss(*fixed, H)

        self._on_chessboard(work)
        return float(loss.sum() + self.counts.saturated) if with_loss else np.nan

    def curvature(self, V, H, dV):
        """See `Executor.curvature`."""
        spectra, dD = self._spectra(V), self._spectra(dV).D
        on_simplex = self.on_simplex
        dD_sum = dD[:, : self.k].sum(axis=0) if on_simplex else np.zeros(self.k)
        dA, dH_sum = self._zeros(dD.shape), self._zeros((self.k,))
        kernel = curvature_pass(self.wide)

        def work(n):
            change = dD, dD_sum, self.shares
            kernel(self._block(n), spectra, *change, H, dA[n], dH_sum[n])

        self._on_all_blocks(work)
        return unpadded(dA.sum(axis=0), self.problem), dH_sum.sum(axis=0)

    def _spectra(self, V):
        """Return D = G W and its sums over the channels, never zero.

        Maps are found in many passes with the same V, for which this is kept.
        """
        last, spectra = self._last_spectra
        if last is None or not np.array_equal(last, V):
            spectra = self._made_spectra(V)
            self._last_spectra = V.copy(), spectra
        return spectra

    def _made_spectra(self, V):
        W = self.problem.compose(V)
        D = self.problem.spectra(W)
        if self.problem.free_scales:
            D = D / self.problem.in_channels(self.problem.heights(W))
        D_sum = np.maximum(self.problem.totals(D), np.finfo(float).tiny)
        return Spectra(widened(D), D_sum, self.floor)

    def _of_heights(self, V, A):
        """Return A of spectra as high as they are, from that of the same height."""
        if not (self.problem.free_scales and A.size):
            return A
        heights = self.problem.heights(self.problem.compose(V))
        return A / self.problem.in_channels(heights)

    @property
    def _concordance(self):
        """Inverse root of the smallest count, see `kernels.newton`."""
        return 1.0 / np.sqrt(self.counts.smallest)

    def _zeros(self, shape):
        return aligned_zeros((self.counts.blocks.size - 1, *shape))

    def _block(self, n, dense=False):
        indptr, channels, x = self._all_entries if dense else self._entries
        first, last = self.counts.blocks[n : n + 2]
        return Block(indptr, channels, x, first, last, dense)

    @property
    def _entries(self):
        """Return indptr, channels and values."""
        return self.counts.indptr, self.counts.channels, self.counts.read_values

    @cached_property
    def _all_entries(self):
        """The same of all entries, zeros too."""
        table = self.counts.table
        indptr = np.arange(len(table) + 1) * table.shape[1]
        return indptr, self.counts.channels, table.ravel()

    def _on_chessboard(self, work):
        """Call ``work(block, colour)`` for all blocks of one colour, then the other."""
        for colour in range(1 if self.grid is None else 2):
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


def unpadded(A: np.ndarray, problem: Problem, dense: bool = False) -> np.ndarray:
    """Return A (n_channels, k) of what the kernels have added up."""
    A = A.T if dense else A
    return A[: problem.n_channels, : problem.n_components]


def passes_over(
    counts: Any, problem: Problem, n_jobs: int, mean_counts: float | None = None
) -> Executor:
    """Return `Passes` on threads, or, for counts on a cluster, there."""
    if isinstance(counts, Counts):
        return Passes(counts, problem, n_jobs, mean_counts)
    from espm_hs.factorization.executors.dask import ClusterPasses

    return ClusterPasses(counts, problem, mean_counts)
