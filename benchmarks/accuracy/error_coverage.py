"""Whether the stated errors of compositions are the real ones: many simulated maps.

    python benchmarks/accuracy/error_coverage.py [--replicates 200] [--size 64]
        [--solver auto] [--binning auto]

For each data set and dose: maps that differ in their noise are decomposed as by
default (with ``binning="auto"``), but starting at the truth, so that which answer is
found is not the question. Standardised errors, which are (found - true) / stated error,
should have a standard deviation of 1, and 95 % of them should be below 1.96. The width,
half of what the central 68 % span, is the standard deviation but for the few maps in
which another answer is found all the same. Fractions of 0.3 at.% and more are counted;
what is smaller lies at the bound and has no normal error. Last lines: the same for
pixels, whose stated error takes the phases as known. Only those with two phases of 10 %
are counted: where a phase is missing its abundance is found as exactly 0 in half of the
pixels.
"""

from __future__ import annotations

import warnings

import numpy as np
from joblib import Parallel, delayed

from benchmarks.runner import argument, publish, run, some
from espm_hs.analysis import decompose, pixel_composition, to_percent
from espm_hs.decomposition.self_consistency import phase_matrices
from espm_hs.factorization import fit_spectrum
from espm_hs.simulation import experiment

CASES = (
    ("particles", 18),
    ("particles", 293),
    ("grain_boundary", 60),
    ("core_shell", 40),
    ("mantle", 18),
    ("mantle", 293),
)
SMALLEST = 0.3  # at.%
MIXED = 0.1
HEADER = ("map", "mean", "deviation", "width", "within 95 %", "numbers")


def truth(made):
    """Atomic percent, W and H that an experiment was made from."""
    model, fractions = made.model, made.composition
    G = phase_matrices(model, fractions)[:, model.channels]
    spectra = 1e6 * made.spectra[model.channels].T
    W = np.stack([fit_spectrum(*pair)[0] for pair in zip(G, spectra, strict=True)], 1)
    W = W / W[model.element_columns].sum(axis=0)
    atoms = np.array([phase.atoms_per_volume for phase in made.phases])
    H = made.thickness.reshape(-1, len(made.phases)) * atoms
    # zeros never leave a multiplicative update
    return 100 * fractions, np.maximum(W, 1e-12), np.maximum(H, 1e-6 * H.max())


def counts(made, seed):
    return made.counts(seed).toarray().reshape(*made.shape, -1)


def replicate(made, start, seed, options):
    """Percent and stated variance of the phases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = decompose(
            counts(made, seed),
            made.model,
            len(made.phases),
            sparsity=1.0,
            init=start,
            **options,
        )
    _, percent, variance = to_percent(found)
    return percent, variance


def standardised(percent, variance, true):
    """Errors in units of the stated ones, of what is not next to nothing."""
    errors = (percent - true) / np.sqrt(np.maximum(variance, 1e-12))
    return errors[np.broadcast_to(true >= SMALLEST, errors.shape)]


def row(label, z):
    """Return the cells of standardised errors."""
    inside = 100 * (np.abs(z) < 1.96).mean()
    width = np.diff(np.percentile(z, [15.87, 84.13]))[0] / 2
    cells = (f"{x:.2f}" for x in (z.mean(), z.std(), width))
    return label, *cells, f"{inside:.1f} %", z.size


def pixels(made, start, solver, seed=0):
    """Standardised errors of pixels that hold mixtures, for the true phases."""
    data, (true, W, H) = counts(made, seed), start
    elements = made.model.elements
    fixed = {
        k: dict(zip(elements, true[:, k] / 100, strict=True)) for k in range(W.shape[1])
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = decompose(
            data,
            made.model,
            W.shape[1],
            solver=solver,
            init=(W, H),
            fixed_composition=fixed,
        )
    _, *maps = pixel_composition(found, data, found.loadings)
    percent, variance = (values.reshape(len(values), -1) for values in maps)
    shares = H / H.sum(axis=1, keepdims=True)
    mixed = np.sort(shares, axis=1)[:, -2] > MIXED
    return standardised(percent[:, mixed], variance[:, mixed], true @ shares[mixed].T)


def main(given):
    binning = given.binning if given.binning == "auto" else int(given.binning)
    options = {"solver": given.solver, "binning": binning}
    rows = []
    for name, dose in some(CASES, given):
        made = experiment(name, (given.size, given.size), dose)
        true, *start = truth(made)
        runs = Parallel(2)(
            delayed(replicate)(made, tuple(start), seed, options)
            for seed in range(given.replicates)
        )
        percent, variance = (np.array(one) for one in zip(*runs, strict=True))
        errors = standardised(percent, variance, true)
        rows.append(row(f"{name}, {dose} counts per pixel", errors))
        print(*rows[-1], flush=True)
    for name, dose in some(CASES, given):
        made = experiment(name, (2 * given.size, 2 * given.size), dose)
        errors = pixels(made, truth(made), given.solver)
        rows.append(row(f"pixels of {name}, {dose} counts", errors))
        print(*rows[-1], flush=True)
    size = f"{given.size} x {given.size} pixels"
    publish(HEADER, rows, title=f"{given.replicates} maps of {size}, {options}")


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--replicates", type=int, default=200, smoke=3, help="of each map"),
        argument("--size", type=int, default=64, smoke=16, help="of the maps, pixels"),
        argument("--solver", default="auto", help="as in decomposition"),
        argument("--binning", default="auto", help="as in decomposition"),
    )
