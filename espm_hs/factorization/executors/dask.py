"""Passes over counts on a cluster: D goes out, sums of the blocks come back.

Each group of blocks is a task of dask, which runs the passes of one process over its
blocks. It takes the abundances of its pixels and returns new ones, which stay on the
worker. Where neighbours are tied, the tasks of one colour of the chessboard take the
rows of abundances around their own from the groups that hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.counts.distributed import (
    Scattered,
    ScatteredCounts,
    rows_of,
    take_rows,
)
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.executors.threads import Executor, Passes, unpadded
from espm_hs.factorization.kernels.arguments import Spectra
from espm_hs.factorization.kernels.vectors import widened
from espm_hs.factorization.problem import Problem

if TYPE_CHECKING:
    from distributed import Future


class ClusterPasses(Executor):
    """The methods of `Passes`, for `ScatteredCounts` and `Scattered` abundances."""

    def __init__(
        self,
        counts: ScatteredCounts,
        problem: Problem,
        mean_counts: float | None = None,
    ):
        super().__init__(counts, problem, mean_counts)
        self.client = counts.client
        self.groups = [self._group(i) for i in range(len(counts.groups))]

    def hold(self, H: np.ndarray | Scattered) -> Scattered:
        """Return abundances that are spread as the counts are."""
        return self.counts.hold(H)

    def run(self, V, H, *, n_steps=1, step_tol=0.0, with_A=True, with_loss=False):
        """As `Passes.run`."""
        options = {"n_steps": n_steps, "step_tol": step_tol, "with_A": with_A}
        A, loss = self._everywhere(Passes.run, V, H, with_loss=with_loss, **options)
        A = unpadded(A.sum(axis=0), self.problem, self.counts.dense)
        return A, self._objective(loss) if with_loss else np.nan

    def smooth_pixels(self, V, H, *, with_loss=False):
        """As `Passes.smooth_pixels`."""
        options = {"with_loss": with_loss, "wanted": with_loss}
        sums = self._everywhere(Passes.smooth_pixels, V, H, **options)
        return self._objective(*sums) if with_loss else np.nan

    def solve_pixels(self, V, H, *, with_loss=True, with_curvature=False, **options):
        """As `Passes.solve_pixels`."""
        options |= {"with_loss": with_loss, "with_curvature": with_curvature}
        A, S, loss = self._everywhere(Passes.solve_pixels, V, H, **options)
        k = self.problem.n_components
        curvature = S.sum(axis=0)[:, : k * (k + 1) // 2] if with_curvature else None
        F = self._objective(loss) if with_loss else np.nan
        return unpadded(A.sum(axis=0), self.problem), F, curvature

    def curvature(self, V, H, dV):
        """As `Passes.curvature`."""
        dD = self.problem.spectra(self.problem.compose(dV))
        dA, dH_sum = self._everywhere(Passes.curvature, V, H, dD)
        return unpadded(dA.sum(axis=0), self.problem), dH_sum.sum(axis=0)

    def _objective(self, loss: np.ndarray) -> float:
        return float(loss.sum() + self.counts.saturated)

    def _everywhere(
        self,
        method: Callable,
        V: np.ndarray,
        H: Scattered,
        *arguments: np.ndarray,
        wanted: bool = True,
        **options: Any,
    ) -> list[np.ndarray]:
        """Call a method of `Passes` for all blocks; H changes as it does there.

        What is not wanted is not waited for: the workers go on to the next pass
        without the client.

        Returns
        -------
        list of numpy.ndarray
            What the method adds up, for each block.
        """
        D = self.problem.spectra(self.problem.compose(V))
        # with each task: another hop would take longer than sending it again; older
        # versions of dask take a tuple that begins with a function for a task
        call = D, method, arguments, options
        held, get = H.pieces, take_rows
        for colour in range(1 if self.grid is None else 2):
            self.n_passes += 1
            inputs = zip(self.groups, held, self._rims(held, get), strict=True)
            held = [
                self.client.submit(_pass, call, colour, *some, pure=False)
                for some in inputs
            ]
            # the second colour goes on from what the first has done
            get = _done_rows
        edges, tail = self.counts.edges, H.shape[1:]
        H.become(Scattered.made(self.client, edges, tail, _abundances, held))
        if not wanted:
            return []
        sums = self.client.gather(self.client.map(itemgetter(1), held, pure=False))
        return [np.concatenate(some) for some in zip(*sums, strict=True)]

    def _group(self, i: int) -> Future:
        """Return a future of what is known of a group, which stays as it is."""
        problem, grid = self.problem, None
        penalties = problem.penalties.separable()
        first, end = around = self.counts.edges[i : i + 2]
        if self.grid is not None:
            grid, *around = self.grid.rows_around(first, end)
            penalties = problem.penalties
        support = None if problem.support is None else problem.support[slice(*around)]
        # spectra come with each pass
        part = replace(
            problem,
            G=None,
            fixed=None,
            ties=None,
            simplex_rows=None,
            grid=grid,
            support=support,
            places=None,
            penalties=penalties.take(slice(*around)),
        )
        padding = first - around[0], around[1] - end
        facts = {name: getattr(self.counts, name) for name in FACTS_OF_ALL}
        facts |= {"blocks": np.add(self.counts.cuts[i], padding[0]), "saturated": 0.0}
        options = part, self.mean_counts, padding, facts
        return self.client.submit(
            _prepared, *options, self.counts.groups[i], pure=False
        )

    def _rims(self, held: list[Future], get: Callable) -> Iterator[list]:
        """Yield the abundances above and below those of each group, if it needs any.

        Parameters
        ----------
        held
            Futures of what ``get`` takes rows of abundances of, as `take_rows`.
        get
            See `rows_of`.
        """
        edges = self.counts.edges
        for first, end in pairwise(edges):
            rims = []
            if self.grid is not None:
                _, top, bottom = self.grid.rows_around(first, end)
                rims = [(top, first), (end, bottom)]
            yield [rows_of(self.client, held, edges, *rim, get) for rim in rims]


# What the blocks of a group are told of all counts.
FACTS_OF_ALL = "smallest", "unit", "dense"


class _Group(NamedTuple):
    """A group of blocks, with the rows around it, as its tasks need it."""

    counts: Counts
    problem: Problem
    mean_counts: float
    own: slice


class _Tied(Grid):
    """A part of a grid in which pixels have neighbours, if not all that are there."""

    connected = True


class _GroupPasses(Passes):
    """Passes over the blocks of a group, with one colour.

    D comes in the place of V, and the sums of blocks go on from those that the colour
    before has left.
    """

    def __init__(self, group: _Group, colour: int, before: list[np.ndarray]):
        super().__init__(group.counts, group.problem, 1, group.mean_counts)
        self.colour, self.before = colour, iter(before)
        self.sums: list[np.ndarray] = []

    def _spectra(self, D):
        D_sum = np.maximum(self.problem.totals(D), np.finfo(float).tiny)
        return Spectra(widened(D), D_sum, self.floor)

    def _zeros(self, shape):
        before = next(self.before, None)
        self.sums.append(super()._zeros(shape) if before is None else before.copy())
        return self.sums[-1]

    def _on_chessboard(self, work):
        self._on_all_blocks(work, self.colour)


def _prepared(problem, mean_counts, padding, facts, counts) -> _Group:
    """Compute once what all passes of a group need."""
    if problem.grid is not None:
        grid = problem.grid
        grid = _Tied(grid.weights, arrays=(grid.neighbours, grid.colours))
        problem = replace(problem, grid=grid)
    own = slice(padding[0], padding[0] + counts.n_pixels)
    # empty pixels stand for the rows around the group
    indptr = np.pad(counts.indptr, padding, mode="edge")
    padded = replace(counts, indptr=indptr)
    return _Group(padded.known(**facts), problem, mean_counts, own)


def _pass(call, colour, group, held, rims) -> tuple[np.ndarray, list[np.ndarray]]:
    """Run a method for the blocks of a group.

    Parameters
    ----------
    call
        D, the method, and its further arguments.
    colour
        Of the pixels to work on.
    group
        What `_prepared` has returned.
    held
        Abundances of the group, or what this function has returned for the colour
        before.
    rims
        Abundances above and below those of the group, two lists of arrays, if any.

    Returns
    -------
    H : numpy.ndarray
        New abundances.
    sums : list of numpy.ndarray
        What the method adds up, for each block.
    """
    D, method, arguments, options = call
    own, before = held if isinstance(held, tuple) else (held, [])
    above, below = rims or ([], [])
    H = np.concatenate((*above, own, *below))
    with _GroupPasses(group, colour, before) as passes:
        method(passes, D, H, *arguments, **options)
    # not copied: the rows around its own are few
    return H[group.own], passes.sums


def _abundances(done):
    return done[0]


def _done_rows(done, first, end):
    return take_rows(done[0], first, end)
