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
from espm_hs.factorization.counts.distributed import (
    Scattered,
    rows_of,
    take_rows,
)
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.executors.threads import Passes
from espm_hs.factorization.problem import Problem


class ClusterPasses:
    """The methods of `Passes`, for `ScatteredCounts` and `Scattered` abundances."""

    def __init__(self, counts, problem: Problem, dose: float | None = None):
        self.counts, self.problem, self.client = counts, problem, counts.client
        self.dose = dose or max(counts.dose, 1e-300)
        self.on_simplex = problem.simplex == "abundances"
        self.connected = problem.penalties.smooth and problem.grid.connected
        self.n_passes = 0
        self.settings = [self._setting(i) for i in range(len(counts.groups))]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

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
        self, method: str, V, H: Scattered, *arguments, wanted: bool = True, **options
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
        held, get, results = H.pieces, take_rows, []
        for colour in range(2 if self.connected else 1):
            self.n_passes += 1
            held = [
                self.client.submit(_pass, call, colour, *inputs, pure=False)
                for inputs in zip(
                    self.settings, held, self._rims(held, get), strict=True
                )
            ]
            # those of the second colour are taken from what the first has done
            get = _rim
            if wanted:
                results.append(self.client.map(_sums, held, pure=False))
        edges, tail = self.counts.edges, H.shape[1:]
        H.become(Scattered.made(self.client, edges, tail, _abundances, held))
        found = self.client.gather(results)
        return [[block for group in colour for block in group] for colour in found]

    def _setting(self, i: int):
        """Return a future of what a group needs to know, which stays as it is."""
        problem, grid = self.problem, None
        first, end = around = self.counts.edges[i : i + 2]
        if self.connected:
            grid, *around = problem.grid.rows_around(first, end)
        support = problem.support
        facts = {
            # D and the smoothness come by other ways
            "problem": replace(
                problem,
                G=None,
                fixed=None,
                ties=None,
                simplex_rows=None,
                grid=None,
                support=None if support is None else support[slice(*around)],
                penalties=replace(problem.penalties, smoothness=0.0),
            ),
            "smoothness": problem.penalties.strengths(problem.n_components),
            "grid": grid,
            "dose": self.dose,
            "known": {
                name: getattr(self.counts, name)
                for name in ("smallest", "unit", "dense")
            },
            "cuts": self.counts.cuts[i],
            "before": first - around[0],
            "after": around[1] - end,
        }
        return self.client.submit(_prepared, facts, self.counts.groups[i], pure=False)

    def _rims(self, held, get):
        """Yield the abundances above and below those of each group, if it needs any.

        Parameters
        ----------
        held
            Futures of what ``get`` takes rows of abundances of, as `take_rows`.
        """
        edges = self.counts.edges
        for first, end in pairwise(edges):
            rims = (first, first), (end, end)
            if self.connected:
                _, top, bottom = self.problem.grid.rows_around(first, end)
                rims = (top, first), (end, bottom)
            yield [rows_of(self.client, held, edges, *rim, get) for rim in rims]


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
        if facts["grid"] is not None:
            self.grid = facts["grid"]
            mean = 1.0 if self.on_simplex else facts["dose"]
            self.smoothness = facts["smoothness"] * facts["dose"] / mean**2
        self.colour, self.carry, self.made = colour, list(carry), []

    def _spectra(self, D):
        return D, np.maximum(D.sum(axis=0), np.finfo(float).tiny)

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
    grid = facts["grid"]
    if grid is not None:
        grid = _Tied(grid.weights, arrays=(grid.neighbours, grid.colours))
    counts = _padded(counts, facts["before"], facts["after"])
    counts = counts.known(**facts["known"])
    return facts | {"grid": grid, "counts": counts}


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
