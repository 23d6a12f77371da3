"""Which phases a measured map shows, and what has to be said to find the rare one.

The map of minerals (ferropericlase, bridgmanite, and a grain of calcium silicate of
some twenty pixels) is read from the folder named by ESPM_HS_TEST_DATA. Run with

    python benchmarks/accuracy/measured_phases.py
"""

import hyperspy.api as hs
import numpy as np

from benchmarks.accuracy.measured_compositions import MINERALS, PURE, calibrated
from benchmarks.runner import measured, publish, run, some
from espm_hs import metrics
from espm_hs.factorization import (
    Bins,
    Counts,
    Penalties,
    Problem,
    fit_maps,
    usual_binning,
)

STRAY = {"stray": {"absent": MINERALS}}
SILICATE = {"Ca silicate": {"absent": ["Mg", "Fe"]}}
GRAIN = (slice(41, 46), slice(66, 71))
RATIOS = (0.6, 1.0, 1.4, 2.0, 4.0)
SHOWN = ["Mg", "Al", "Si", "Ca", "Fe", "Nd", "Sm"]


def load():
    s = hs.load(measured("mantle_minerals_80x80.hspy"))
    s.set_signal_type("EDS_espm")
    s.set_elements(MINERALS)
    return calibrated(s, ["Cu", "Ga", "Mo", "Zr"])


def find(s, n_phases, known=None, **options):
    """Decompose with the defaults and what is known."""
    return s.decomposition(
        algorithm="espm",
        output_dimension=n_phases,
        known_phases=known,
        print_info=False,
        return_info=True,
        **options,
    )


def objectives(s, found) -> tuple[float, float]:
    """F of phases in bins, without and with the sparsity term."""
    used, navigation = found.channels, s.data.shape[:-1]
    counts = Counts.from_array(s.data, channels=used)
    bins = Bins.from_shape(navigation, usual_binning(counts, navigation))
    counts, D = bins.merge(counts), found.spectra[used]
    problems = (Problem(*D.shape, penalties=Penalties(x)) for x in (0.0, 1.0))
    without, with_it = (fit_maps(counts, problem, D)[1] for problem in problems)
    return without, with_it


def show(s, title, found, reference):
    """Print the phases of a decomposition."""
    pure = np.stack([s.data[where].sum(axis=(0, 1)) for where in PURE.values()], 1)
    angles = metrics.spectral_angles(found.spectra, pure)
    maps = found.loadings.reshape(*s.data.shape[:-1], -1)
    share = maps[GRAIN].sum(axis=(0, 1)) / maps[GRAIN].sum()
    rows = []
    for j, name in enumerate(found.knowledge.labels):
        percent = dict(zip(found.elements, 100 * found.composition[:, j], strict=True))
        rows.append(
            (
                name,
                *(f"{percent[e]:.1f}" for e in SHOWN),
                *(f"{angle:.1f}" for angle in angles[j]),
                f"{100 * maps[..., j].sum() / maps.sum():.1f}",
                f"{100 * share[j]:.0f}",
            )
        )
    header = ("phase", *SHOWN, *(f"to {name} (°)" for name in PURE), "map %", "grain %")
    alone, together = np.subtract(objectives(s, found), reference)
    title = f"{title}: F {together:+.0f}, counts alone {alone:+.0f}"
    publish(header, rows, title=title)


def main(given):
    s = load()
    first = find(s, 3)
    reference = objectives(s, first)
    show(s, "three phases", first, reference)
    apart = find(s, 4, STRAY)
    show(s, "and stray counts apart", apart, reference)
    both = find(s, 4, STRAY | SILICATE)
    show(s, "and a phase without Mg and Fe", both, reference)
    print("\n".join(str(doubt) for doubt in both.doubts))
    base = np.array(objectives(s, both))
    print("\nCa/Si given: F and counts alone, less those of the last")
    for ratio in some(RATIOS, given):
        tied = {"Ca silicate": SILICATE["Ca silicate"] | {"ratio": {"Ca/Si": ratio}}}
        found = find(s, 4, STRAY | tied, init=(both.W, both.loadings), n_init=1)
        alone, together = objectives(s, found) - base
        print(f"{ratio:5g}{together:+9.1f}{alone:+9.1f}", flush=True)


if __name__ == "__main__":
    run(main, __doc__)
