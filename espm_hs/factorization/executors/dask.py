"""Passes over counts on a cluster: D goes out, sums of the blocks come back.

Each group of blocks is a task of dask, which runs the passes of one process over its
blocks. It takes the abundances of its pixels and returns new ones, which stay on the
worker. Where neighbours are tied, the tasks of one colour of the chessboard take the
rows of abundances around their own from the groups that hold them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.counts.scattered import Scattered, take_rows
from espm_hs.factorization.executors.base import Executor
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.kernels.arguments import Spectra
from espm_hs.factorization.problem import Problem


class ClusterPasses(Executor):
    """The methods of `Passes`, for `ScatteredCounts` and `Scattered` abundances."""

    def __init__(self, counts, problem: Problem, dose: float | None = None):
        super().__init__(counts, problem, dose)
        self.client = counts.client
        self.settings = [self._setting(i) for i in range(len(counts.groups))]

    def hold(self, H) -> Scattered:
        """Return abundances that are spread as the counts are."""
        return self.counts.hold(H)

    def run(self, V, H, *, n_steps=1, step_tol=0.0, with_A=True, with_loss=False):
        """As `Passes.run`."""
        options = {"n_steps": n_steps, "step_tol": step_tol, "with_A": with_A}
        found = self._everywhere("run", V, H, with_loss=with_loss, **options)
        return _added(found[-1], 0), self._objective(found, 1) if with_loss else np.nan

    def smooth_pixels(self, V, H, *, with_loss=False):
        """As `Passes.smooth_pixels`."""
        options = {"with_loss": with_loss, "wanted": with_loss}
        found = self._everywhere("smooth_pixels", V, H, **options)
        return self._objective(found, 0) if with_loss else np.nan

    def solve_pixels(self, V, H, *, with_curvature=False, n_steps=50):
        """As `Passes.solve_pixels`."""
        options = {"with_curvature": with_curvature, "n_steps": n_steps}
        found = self._everywhere("solve_pixels", V, H, **options)
        S = _added(found[-1], 2) if with_curvature else None
        return _added(found[-1], 0), self._objective(found, 1), S

    def curvature(self, V, H, dV):
        """As `Passes.curvature`."""
        dD = self.problem.spectra(self.problem.compose(dV))
        found = self._everywhere("curvature", V, H, dD)[-1]
        return _added(found, 0), _added(found, 1)

    def _objective(self, found, i) -> float:
        """F, from the shares of the blocks with each colour."""
        loss = np.zeros(len(found[0]))
        for colour in found:
            loss += [block[i] for block in colour]
        return float(loss.sum() + self.counts.saturated)

    def _everywhere(
        self, method, V, H, *arguments, wanted=True, **options
    ) -> list[list[tuple]]:
        """Call a method of `Passes` for all blocks; H changes as it does there.

        What is not wanted is not waited for: the workers go on to the next pass
        without the client.

        Returns
        -------
        list of list of tuple
            For each colour and each block what the method returns for the block alone.
        """
        D = self.problem.spectra(self.problem.compose(V))
        # with each task: another hop would take longer than sending it again
        call = method, D, arguments, options
        done, results = None, []
        for colour in range(2 if self.connected else 1):
            self.n_passes += 1
            tasks = [
                self.client.submit(_pass, call, colour, *inputs, pure=False)
                for inputs in zip(
                    self.settings, done or H.pieces, self._rims(H, done), strict=True
                )
            ]
            if wanted:
                results.append(self.client.map(_sums, tasks, pure=False))
            done = tasks
        H.pieces = self.client.map(_abundances, done, pure=False)
        found = self.client.gather(results)
        return [[block for group in colour for block in group] for colour in found]

    def _setting(self, i):
        """Return a future of what a group needs to know, which stays as it is."""
        problem, grid = self.problem, None
        first, end = self.counts.edges[i : i + 2]
        around = first, end
        penalties = problem.penalties
        if not self.connected:
            penalties = penalties.separable()
        else:
            grid, *around = self.problem.grid.rows_around(first, end)
        support = problem.support
        # spectra come with each pass
        problem = replace(
            problem,
            **dict.fromkeys(("G", "fixed", "ties", "simplex_rows")),
            grid=grid,
            support=None if support is None else support[slice(*around)],
            penalties=penalties.take(slice(*around)),
        )
        facts = {
            "problem": problem,
            "dose": self.mean_counts,
            "known": {
                name: getattr(self.counts, name)
                for name in ("smallest", "unit", "dense")
            },
            "cuts": self.counts.cuts(i),
            "before": first - around[0],
            "after": around[1] - end,
        }
        return self.client.submit(_prepared, facts, self.counts.groups[i], pure=False)

    def _rims(self, H, done):
        """Yield the abundances above and below those of each group, if it needs any.

        Those of the first colour are taken from what it has ``done``.
        """
        held, get = (H, take_rows) if done is None else (H.with_pieces(done), _rim)
        for first, end in pairwise(self.counts.edges):
            if not self.connected:
                yield [], []
                continue
            _, top, bottom = self.problem.grid.rows_around(first, end)
            yield held.rows(top, first, get), held.rows(end, bottom, get)


def _added(blocks, i) -> np.ndarray:
    """Sum of an array over the blocks, in their order, and in the memory order."""
    arrays = [block[i] for block in blocks]
    order = "F" if arrays[0].flags.f_contiguous else "C"
    return np.asarray(np.stack(arrays).sum(axis=0), order=order)


class _BlockPasses(Passes):
    """Passes over one block of a group, with one colour.

    D comes in the place of V; what the colour before has summed is gone on with.
    """

    def __init__(self, counts, facts, H, colour, carry):
        super().__init__(counts, facts["problem"], 1, facts["dose"])
        self.colour, self.carry, self.made = colour, list(carry), []

    def _spectra(self, D):
        D_sum = np.maximum(D.sum(axis=0), np.finfo(float).tiny)
        return Spectra(D, D_sum, self.floor)

    def _zeros(self, shape):
        self.made.append(self.carry.pop(0) if self.carry else super()._zeros(shape))
        return self.made[-1]

    def _on_chessboard(self, work):
        self._on_all_blocks(work, self.colour)


class _Tied(Grid):
    """A part of a grid in which pixels have neighbours, if not all that are there."""

    connected = True


def _prepared(facts, counts):
    """Add what is computed once for all passes."""
    problem = facts["problem"]
    if (grid := problem.grid) is not None:
        grid = _Tied(grid.weights, arrays=(grid.neighbours, grid.colours))
        problem = replace(problem, grid=grid)
    counts = _padded(counts, facts["before"], facts["after"])
    counts = counts.known(**facts["known"])
    return facts | {"problem": problem, "counts": counts}


def _pass(call, colour, facts, own, rims):
    """Run a method for the blocks of a group.

    Parameters
    ----------
    call
        The method, D, and its further arguments.
    colour
        Of the pixels to work on.
    facts
        What `_prepared` has returned.
    own
        Abundances of the group, or what this function has returned for the colour
        before.
    rims
        Two lists of abundances, above and below those of the group.

    Returns
    -------
    tuple
        New abundances, what the next colour goes on with, and sums, for each block.
    """
    method, D, arguments, options = call
    own, carry = own[:2] if isinstance(own, tuple) else (own, None)
    H = np.concatenate((*rims[0], own, *rims[1]))
    counts, before = facts["counts"], facts["before"]
    carried, sums = [], []
    for n, (first, end) in enumerate(pairwise(facts["cuts"])):
        blocks = np.array([first + before, end + before])
        block = counts.known(
            blocks=blocks,
            saturated=0.0,
            smallest=counts.smallest,
            unit=counts.unit,
            table=counts.table,
        )
        done = [] if carry is None else [array.copy() for array in carry[n]]
        with _BlockPasses(block, facts, H, colour, done) as passes:
            found = getattr(passes, method)(D, H, *arguments, **options)
        sums.append(found if isinstance(found, tuple) else (found,))
        carried.append(passes.made)
    # not copied: the rows around its own are few
    return H[before : H.shape[0] - facts["after"]], carried, sums


def _padded(counts, before, after) -> Counts:
    """Return counts with empty pixels around them."""
    if before == after == 0:
        return counts
    indptr = np.concatenate(
        (np.zeros(before, np.int64), counts.indptr, np.full(after, counts.n_nonzeros))
    )
    return Counts(indptr, counts.channels, counts.values, counts.n_channels)


def _abundances(done):
    return done[0]


def _rim(done, first, end):
    return take_rows(done[0], first, end)


def _sums(done):
    return done[2]
