"""What the counts say of a phase that lies beyond what any pixel shows.

    python benchmarks/accuracy/beyond_pixels.py [--write docs/mathematics.md]

The blind map of a barrier coating has a garnet within alumina, and traces of yttrium in
its zirconia. Alumina is taken out of the true spectrum of the garnet, by a share, or a
fit begins with the true spectra and goes where F falls. Three measures are compared
with those of the true spectra, in nats: F with a sparsity of 1, minus the logarithm of
the likelihood, each with the maps that suit them best, and that of hidden Markov
chains, in which what a pixel holds is averaged over. Where they are negative, the wrong
spectrum is preferred.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from benchmarks.accuracy.zoo import MANY, cases
from benchmarks.runner import publish, run, some
from espm_hs.decomposition.self_consistency import closed, phase_matrices
from espm_hs.factorization import (
    Counts,
    Grid,
    Penalties,
    Problem,
    factorize,
    fit_maps,
    fit_spectrum,
)
from espm_hs.factorization.single_pixels import SinglePixels

HEADER = (
    "spectrum of the garnet",
    "its Y, Al, O (at.%)",
    "F",
    "likelihood, best maps",
    "likelihood, chains",
)
SHARES = (0.2, 0.4, 0.6)
# The map with more counts.
MAP = {"half": "blind", "only": "barrier_coating", "forward": "own"}
GARNET, ALUMINA = 3, 2


def true_composition(case, model):
    """Return the W of the true spectra, shape (n_columns, n_phases)."""
    used, columns = model.channels, []
    for spectrum, phase in zip(
        case.experiment.spectra.T, case.experiment.phases, strict=True
    ):
        known = {e: x for e, x in phase.composition.items() if e in model.elements}
        G = model.replace(composition=known).G[used]
        columns.append(fit_spectrum(G, MANY * spectrum[used] / spectrum.max())[0])
    W = np.transpose(columns)
    return W / W[model.element_columns].sum(axis=0)


class Measures:
    """What the counts of a map say of spectra of its phases."""

    def __init__(self, case):
        self.model, data = case.signal.physical_model(), case.signal.data
        self.rows = self.model.element_columns
        self.counts = Counts.from_array(data, channels=self.model.channels)
        grid, k = Grid.from_shape(data.shape[:-1]), len(case.experiment.phases)
        self.single = SinglePixels(self.counts, grid, k)

    def problem(self, W, sparsity):
        """Return the problem with the matrices of these compositions."""
        G = phase_matrices(self.model, closed(W[self.rows]))[:, self.model.channels]
        return Problem(
            self.counts.n_channels,
            W.shape[1],
            G=G,
            simplex_rows=self.rows,
            penalties=Penalties(sparsity),
        )

    def of(self, W):
        """Return F, and minus the likelihoods with the best maps and of chains."""
        problems = [self.problem(W, sparsity) for sparsity in (1.0, 0.0)]
        maps = [fit_maps(self.counts, one, W, n_jobs=-1)[1] for one in problems]
        return np.array([*maps, -self.single.compare(problems[1], W)[0]])

    def fitted(self, W):
        """Return where a fit ends that begins with these spectra."""
        return factorize(self.counts, self.problem(W, 1.0), init=(W, None), n_jobs=-1).W

    def percent(self, W):
        """Return the at.% of the garnet, as text."""
        found = dict(
            zip(self.model.elements, closed(W[self.rows])[:, GARNET], strict=True)
        )
        return ", ".join(f"{100 * found[x]:.0f}" for x in ("Y", "Al", "O"))


def main(given):
    *_, case = cases(SimpleNamespace(smoke=given.smoke, **MAP))
    by = Measures(case)
    true = true_composition(case, by.model)
    tried = {"true": true}
    for share in some(SHARES, given):
        W = true.copy()
        W[:, GARNET] = np.maximum(true[:, GARNET] - share * true[:, ALUMINA], 0.0)
        W[:, GARNET] /= W[by.rows, GARNET].sum()
        tried[f"without {share:g} of alumina"] = W
    tried["where a fit goes from the truth"] = by.fitted(true)
    known, rows = by.of(true), []
    for name, W in tried.items():
        shown = (f"{x:+.0f}" if x else "0" for x in by.of(W) - known)
        rows.append((name, by.percent(W), *shown))
        print("  ".join(rows[-1]), flush=True)
    publish(HEADER, rows, given.write, "beyond")


if __name__ == "__main__":
    run(main, __doc__, page=True)
