"""What `calibration="auto"` makes of maps whose energy scale is off.

Prints the deviance ratio of decompositions with the energy scale of the metadata and
with that of the refined model, and what the refinement adds to the time, for simulated
maps with shifted axes and for measured maps. Those are read from the folder named by
ESPM_HS_TEST_DATA. Run with

    python benchmarks/accuracy/energy_scale.py
"""

import time
import warnings
from itertools import product

import hyperspy.api as hs

from benchmarks.runner import SEEDS, measured, publish, run
from espm_hs.calibration.automatic import AutomaticCalibration
from espm_hs.factorization import summed_spectrum
from espm_hs.simulation import DATASETS

MINERALS = ["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"]
# Elements of the sample, stray ones, number of phases, and the largest ratio aimed at.
MEASURED = {
    "sio2_particles_128x128.hspy": (["O", "Si"], ["Cu", "C"], 2, 6.3),
    "velox_si_16x16.emd": (["O", "C", "Ca", "Fe", "Pt"], [], 2, 1.5),
    # the stray elements are those that `suggest_elements` names
    "bruker_tem_64x64.bcf": (["O", "Pd", "Ti"], ["Cu", "Si", "C", "N"], 2, 1.2),
    "mantle_minerals_80x80.hspy": (MINERALS, ["Cu", "Ga", "Mo"], 3, 1.6),
}
# Offset in eV, gain in %, and width in eV by which the metadata are wrong.
SHIFTS = (
    (0, 0, 0), (40, 0, 0), (-40, 0, 0), (0, 0.8, 0), (0, -0.8, 0), (0, 0, 10),
    (0, 0, -10),
)  # fmt: skip
SIMULATED = 1.1
HEADER = ("map", "never", "auto", "at most", "cold (s)", "warm (s)", "changes")


def misread(signal, offset=0.0, gain=0.0, width=0.0):
    """Make the metadata of a map wrong by eV, % and eV."""
    axis = signal.axes_manager[-1]
    axis.offset += 1e-3 * offset
    axis.scale *= 1 + 1e-2 * gain
    detector = signal.metadata.Acquisition_instrument.TEM.Detector.EDS
    detector.energy_resolution_MnKa += width
    return signal


def load(name):
    """Return a measured map with its elements."""
    elements, stray, _, _ = MEASURED[name]
    found = hs.load(measured(name))
    found = found if isinstance(found, list) else [found]
    (signal,) = (
        s
        for s in found
        if s.axes_manager.navigation_dimension == 2
        and s.axes_manager.signal_dimension == 1
    )
    signal.set_signal_type("EDS_espm")
    signal.set_elements(elements)
    signal.set_analysis_parameters(stray_elements=stray)
    return signal


def seconds(signal):
    """Return how long the refinement takes, for the first time and again."""
    model = signal.physical_model()
    spectrum = summed_spectrum(signal.data)[model.channels]
    times = []
    for _ in range(2):
        start = time.perf_counter()
        AutomaticCalibration().refined(model, spectrum, model.channels)
        times.append(time.perf_counter() - start)
    return times


def row(name, signal, n_phases, most):
    """Decompose a map both ways."""
    cold, warm = seconds(signal)
    ratios, found = [], None
    for calibration in ("never", "auto"):
        found = signal.decomposition(
            algorithm="espm",
            output_dimension=n_phases,
            calibration=calibration,
            print_info=False,
            show_progressbar=False,
            return_info=True,
        )
        ratios.append(f"{found.misfit:.3g}")
    told = ", ".join(
        f"{key} {value:.3g}"
        for key, value in found.calibration.items()
        if not key.startswith("deviance")
    )
    return (name, *ratios, f"{most:g}", f"{cold:.2f}", f"{warm:.2f}", told or "none")


def main(given):
    warnings.simplefilter("ignore")
    rows = []
    shifts = SHIFTS[:2] if given.smoke else SHIFTS
    names = ["core_shell"] if given.smoke else list(DATASETS)
    for name, shift, seed in product(names, shifts, range(given.seeds)):
        signal = DATASETS[name](shape=(64, 64), seed=seed)
        n_phases = len(signal.ground_truth().names)
        misread(signal, *shift)
        label = f"{name} {shift[0]:+g} eV {shift[1]:+g} % width {shift[2]:+g} eV"
        rows.append(row(label, signal, n_phases, SIMULATED))
    for name, (_, _, n_phases, most) in () if given.smoke else MEASURED.items():
        rows.append(row(name, load(name), n_phases, most))
    publish(HEADER, rows, title="Deviance ratio of the summed spectrum")


if __name__ == "__main__":
    run(main, __doc__, SEEDS)
