"""Regions and phase maps of simulated maps against their truth.

    python benchmarks/accuracy/regions.py [--draws 80] [--size 32]
        [--write docs/regions.md]

First table: for each data set, the fractions of the area and of the counts that
`phase_map` states, over draws of the counts. The largest error of all draws and phases
is in percent of the whole map; standardised errors, (found - true) / stated error,
should have a root mean square of 1, with 68 and 95 % of them below 1 and 1.96. The
truth of the area is which phase has the most counts of a pixel on average. Fractions
that are 0 or 100 % in truth are left out of what is standardised.

Second table: a disc in each data set, quantified by `quantify(roi=...)` and by a
decomposition of its summed spectrum as a signal of its own; the largest difference of
all elements, in at.% and in standard errors.
"""

from __future__ import annotations

import hyperspy.api as hs
import numpy as np
from joblib import Parallel, delayed

from benchmarks.runner import argument, publish, quiet, run, some
from espm_hs import simulation
from espm_hs.factorization.matching import match_phases

CASES = (
    ("particles", 20),
    ("particles", 60),
    ("particles", 300),
    ("grain_boundary", 60),
    ("core_shell", 200),
    ("mantle", 293),
)
MANY = 5000
QUIET = {"print_info": False, "show_progressbar": False}
HEADER = ("map", "counts", "fractions", "largest error (%)", "rms", "< 1", "< 1.96")
HEADER_OF_REGIONS = ("map", "counts in the disc", "at.%", "standard errors")


def counts_per_nm(name, size):
    """Return counts of a nanometre of each phase, fitted to a map of many counts."""
    s = getattr(simulation, name)((size, size), counts_per_pixel=MANY, seed=99)
    thickness = s.ground_truth().thickness
    thickness = thickness.reshape(-1, thickness.shape[-1])
    used = s.physical_model().channels
    totals = s.data.reshape(len(thickness), -1)[:, used].sum(axis=1).astype(float)
    return np.linalg.lstsq(thickness, totals, rcond=None)[0]


def draw(name, counts, seed, size, per_nm):
    """Stated fractions, their errors and the truth, (2 kinds, 3, n_phases)."""
    quiet()
    s = getattr(simulation, name)((size, size), counts_per_pixel=counts, seed=seed)
    known = s.ground_truth()
    s.decomposition(algorithm="espm", output_dimension=len(known.names), **QUIET)
    found, fractions = s.analysis_results(), s.phase_map()
    used = found.channels
    order, _ = match_phases(found.spectra[used], known.spectra[used])
    truth = (known.thickness * per_nm).reshape(-1, len(per_nm))
    area = np.bincount(truth.argmax(axis=1), minlength=len(per_nm)) / len(truth)
    shares = truth.sum(axis=0) / truth.sum()
    return np.array(
        [
            (fractions.area[order], fractions.area_error[order], 100 * area),
            (fractions.counts[order], fractions.counts_error[order], 100 * shares),
        ]
    )


def fractions_rows(name, counts, given):
    """Rows of a data set: area and counts."""
    per_nm = counts_per_nm(name, given.size)
    drawn = np.array(
        Parallel(2)(
            delayed(draw)(name, counts, seed, given.size, per_nm)
            for seed in range(given.draws)
        )
    )
    for i, kind in enumerate(("area", "counts")):
        found, error, true = drawn[:, i].transpose(1, 0, 2)
        off = found - true
        open_ = (true > 0) & (true < 100)
        z = np.abs(off[open_] / error[open_])
        yield (
            *(name, counts, kind, f"{np.abs(off).max():.2f}"),
            *(f"{np.sqrt((z**2).mean()):.2f}", f"{100 * (z < 1).mean():.0f} %"),
            f"{100 * (z < 1.96).mean():.0f} %",
        )


def region_row(name, counts, size):
    """Row of a disc in a data set: the region, and its spectrum by itself."""
    s = getattr(simulation, name)((size, size), counts_per_pixel=counts)
    k = len(s.ground_truth().names)
    s.decomposition(algorithm="espm", output_dimension=k, n_init=1, **QUIET)
    middle = [axis.index2value(size // 2) for axis in s.axes_manager.navigation_axes]
    radius = s.axes_manager[0].scale * size / 4
    roi = hs.roi.CircleROI(*middle, radius)
    region = s.quantify(roi=roi)
    alone = s.inav[0, 0].deepcopy()
    wide = s.deepcopy()
    wide.change_dtype(float)
    alone.data = np.nansum(roi(wide).data, axis=(0, 1))
    alone.decomposition(algorithm="espm", output_dimension=1, **QUIET)
    expected = alone.quantify()
    off = np.abs([a.data[0] - b.data[0] for a, b in zip(region, expected, strict=True)])
    error = np.sqrt([x.get_noise_variance().data[0] for x in expected])
    total = f"{alone.data.sum():.0f}"
    return name, total, f"{off.max():.3f}", f"{(off / error).max():.2f}"


def main(given):
    rows = []
    for name, counts in some(CASES, given):
        rows += fractions_rows(name, counts, given)
        print(*rows[-2:], sep="\n", flush=True)
    title = f"Fractions of {given.draws} draws of maps of {given.size} x {given.size}"
    publish(HEADER, rows, given.write, "fractions", title)
    names = dict.fromkeys(name for name, _ in some(CASES, given))
    rows = [region_row(name, 200, given.size) for name in names]
    title = "A region and its summed spectrum alone: largest difference"
    publish(HEADER_OF_REGIONS, rows, given.write, "alone", title)


if __name__ == "__main__":
    run(
        main,
        __doc__,
        argument("--draws", type=int, default=80, smoke=2, help="of the counts"),
        argument("--size", type=int, default=32, smoke=16, help="of the maps, pixels"),
        page=True,
    )
