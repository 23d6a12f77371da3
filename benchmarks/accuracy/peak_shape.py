"""What escape peaks, a low-energy tail and sum peaks are worth on measured spectra.

Each spectrum is fitted with its known elements, all families of lines and a background
of splines free, so that little but the shape of the peaks is wrong; energy scale and
peak width are refined for each shape anew, and once the tail with them. Printed is by
how much the deviance falls, in units of the deviance ratio, in which a parameter that
is worth nothing gains 1. For sum peaks the table has the pulse-pair resolution besides
that their amplitude and the live time imply. The FePt spectrum comes with eXSpy; the
others, and SEM spectra of known standards by two microscopes, are read from the folder
named by ESPM_HS_TEST_DATA. Run with

    python benchmarks/accuracy/peak_shape.py [--write docs/physics.md]
"""

import re
from itertools import starmap

import exspy
import hyperspy.api as hs
import numpy as np

from benchmarks.runner import measured, publish, run
from espm_hs.analysis import calibrate
from espm_hs.calibration.energy_scale import DEFAULT, without_noise
from espm_hs.calibration.pile_up import pile_up
from espm_hs.factorization import divergence, expected_deviance, fit_spectrum
from espm_hs.physics import SpectrumModel

MINERALS = ["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"]
# File -> elements of the sample, system elements.
FILMS = {
    "mantle_minerals_80x80.hspy": (MINERALS, ["Cu", "Ga", "Mo"]),
    "bruker_tem_64x64.bcf": (["Pd", "Ti", "O"], ["Cu", "C"]),
    "srtio3_segment_a.hspy": (["O", "Sr", "Ti"], ["Cu", "C"]),
    "srtio3_segment_b.hspy": (["O", "Sr", "Ti"], ["Cu", "C"]),
    "sio2_particles_128x128.hspy": (["O", "Si"], ["Cu", "C"]),
}
# Those of glasses whose files do not name them.
GLASSES = {
    "K412": ["O", "Mg", "Al", "Si", "Ca", "Fe"],
    "ADM": ["O", "Al", "Si", "Ca", "Ti", "Zn", "Ge"],
}
FEPT = (["Fe", "Pt"], ["Cu", "C", "O", "Si"])
# What the shapes are compared with.
PLAIN = {"tail": 0.0}
# Name -> parameters of the detector.
SHAPES = {
    "escape": {"escape_peak": True, **PLAIN},
    "tail 1 %": {"tail": 0.01},
    "tail 3 %": {"tail": 0.03},
}
# Refined for each shape: all but the tail, which is a part of it.
REFINED = [name for name in DEFAULT if name != "tail"]
HEADER = (
    *("spectrum", "counts", "deviance ratio", *SHAPES, "tail refined", "tail (%)"),
    *("sum peaks", "resolution (ns)"),
)
# What the beam hits beside a bulk standard, and its surface.
SURFACE = ["C", "O"]


def spectra(smoke):
    """Yield name, model, counts and live time (s) of each spectrum."""
    yield "FePt", *described(exspy.data.EDS_TEM_FePt_nanoparticles(), *FEPT)
    if smoke:
        return
    for file, elements in FILMS.items():
        loaded = hs.load(measured(file))
        maps = loaded if isinstance(loaded, list) else [loaded]
        signal = next(s for s in maps if "EDS" in s.metadata.Signal.signal_type)
        yield file.split(".")[0], *described(signal, *elements)
    for path in sorted(measured("sem_standards").glob("*.msa")):
        text = path.read_text(encoding="latin-1")
        elements = dict.fromkeys(re.findall(r"\((\w+):", text)) or next(
            known for glass, known in GLASSES.items() if glass in path.stem
        )
        yield path.stem, *described(hs.load(path), list(elements), SURFACE)


def described(signal, elements, stray):
    """Return a model with all free but the shape of peaks, counts and live time."""
    microscope = next(
        iter(signal.metadata.Acquisition_instrument.as_dictionary().values())
    )
    axis = signal.axes_manager.signal_axes[0]
    counts = np.asarray(signal.data, float).reshape(-1, axis.size).sum(axis=0)
    model = SpectrumModel(
        axis.axis / (1000 if axis.units == "eV" else 1),
        float(microscope["beam_energy"]),
        elements,
        stray_elements=[one for one in stray if one not in elements],
        split_lines=dict.fromkeys(elements, "families"),
        background="splines",
    )
    live_time = None
    if signal.axes_manager.navigation_dimension == 0:
        live_time = microscope["Detector"]["EDS"].get("live_time")
    return calibrate(model, counts).after, counts, live_time


def deviance(model, counts):
    """Return the deviance of a spectrum, and what counting would leave of it."""
    _, used = without_noise(model, counts, None)
    _, y = fit_spectrum(model.G[used], counts[used])
    return 2 * divergence(counts[used], y), expected_deviance(y)


def shaped(model, counts, shape):
    """Return the model with peaks of another shape, refined."""
    other = model.replace(detector=model.detector.replace(**shape))
    return calibrate(other, counts, REFINED).after


def row(name, model, counts, live_time):
    """Row of a spectrum: ratio of the deviance, and its fall by each shape."""
    plain, expected = deviance(shaped(model, counts, PLAIN), counts)
    ratio = max(1.0, plain / expected)
    models = (shaped(model, counts, one) for one in SHAPES.values())
    after = [deviance(one, counts)[0] for one in (*models, model)]
    sums = pile_up(model, counts, True, live_time)
    falls = [f"{(plain - one) / ratio:.0f}" for one in after]
    total = f"{counts.sum():.0f}"
    time = "" if live_time is None else f"{sums.resolution:.0f}"
    falls += [f"{100 * model.detector.tail:.1f}", f"{sums.seen**2:.0f}"]
    return name, total, f"{plain / expected:.2f}", *falls, time


def main(given):
    rows = list(starmap(row, spectra(given.smoke)))
    publish(HEADER, rows, given.write, "peak shape", "Fall of the deviance")


if __name__ == "__main__":
    run(main, __doc__, page=True)
