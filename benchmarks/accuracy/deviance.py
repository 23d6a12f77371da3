"""What each refinement of the model is worth on measured spectra.

Prints the deviance of summed spectra per degree of freedom as the model is refined, and
each refinement taken away from the full model. The FePt spectrum comes with eXSpy, the
maps are read from the folder named by ESPM_HS_TEST_DATA. Run with

    python benchmarks/accuracy/deviance.py
"""

import exspy
import hyperspy.api as hs
import numpy as np

from benchmarks.runner import measured, publish, run
from espm_hs.analysis import calibrate, suggest
from espm_hs.calibration.energy_scale import end_of_noise
from espm_hs.factorization import divergence, expected_deviance, fit_spectrum

MAPS = {
    "mantle minerals": "mantle_minerals_80x80.hspy",
    "Pd-Ti-O map": "bruker_tem_64x64.bcf",
    "Velox map": "velox_si_16x16.emd",
}
MINERALS = ["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"]


HEADER = ("model", "per degree of freedom", "over its expectation")


def spectra(smoke: bool):
    """Return name -> summed spectrum."""
    found = {"FePt": exspy.data.EDS_TEM_FePt_nanoparticles()}
    for name, file in MAPS.items() if not smoke else ():
        signals = hs.load(measured(file))
        signals = signals if isinstance(signals, list) else [signals]
        maps = [s for s in signals if s.axes_manager.navigation_dimension == 2]
        found[name] = maps[0].sum()
    for signal in found.values():
        signal.set_signal_type("EDS_espm")
    if "mantle minerals" in found:
        found["mantle minerals"].set_elements(MINERALS)
    return found


def deviance(model, counts):
    """Return the deviance, its expectation and the degrees of freedom."""
    used = model.channels
    x = counts[used].astype(float)
    _, y = fit_spectrum(model.G[used], x)
    return 2 * divergence(x, y), expected_deviance(y), used.sum() - len(model.columns)


def refine(model, counts, rounds=3):
    """Suggest elements and calibrate, as a user would; return all steps."""
    steps = [("elements of the sample", model)]
    model = model.replace(minimum_energy=end_of_noise(model, counts))
    for number in range(1, rounds + 1):
        missing = [one.element for one in suggest(model, counts).missing]
        if missing:
            stray = (*model.stray_elements, *missing)
            model = model.replace(stray_elements=stray)
            steps.append((f"+ {', '.join(missing)}", model))
        model = calibrate(model, counts).after
        steps.append((f"+ calibration {number}", model))
    return steps


def without(model):
    """Return name -> the full model less one refinement."""
    plain = model.detector.replace(low_energy_shift=0.0)
    first, second = model.energy[:2]
    moved = model.energy + 1e-3 * (second - first) * np.arange(model.energy.size)
    return {
        "- low-energy shift": model.replace(detector=plain),
        "- gain (0.1 % off)": model.replace(energy=moved),
        "- offset (10 eV off)": model.replace(energy=model.energy + 0.01),
        "- width (10 eV off)": model.replace(
            detector=model.detector.replace(resolution=model.detector.resolution + 10)
        ),
        "- stray elements": model.replace(stray_elements=()),
    }


def main(given):
    for name, signal in spectra(given.smoke).items():
        counts, rows = signal.data, []
        steps = refine(signal.physical_model(), counts, rounds=1 if given.smoke else 3)
        for label, model in [*steps, *without(steps[-1][1]).items()]:
            total, expected, n_free = deviance(model, counts)
            rows.append((label, f"{total / n_free:.3f}", f"{total / expected:.3f}"))
        publish(HEADER, rows, title=f"{name}: {counts.sum():.0f} counts")


if __name__ == "__main__":
    run(main, __doc__)
