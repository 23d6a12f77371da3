"""Bulk standards measured in the scanning microscope, against what they are made of.

Glasses of NIST and pure compounds at 15 and 20 kV, with the physics of bulk samples:
without standards, nothing stated but the elements, and with the standards of the same
session beside them. Mass fractions of the files are normalised. The spectra are read
from the folder named by ESPM_HS_TEST_DATA. Run with

    python benchmarks/accuracy/bulk_standards.py [--write docs/bulk.md]
"""

import contextlib
import io
import re

import hyperspy.api as hs
import numpy as np

from benchmarks.runner import measured, publish, run
from espm_hs.physics import mass_to_atomic_fractions

# Of the glass whose files do not name it.
ADM = {
    "O": 0.3398, "Al": 0.0664, "Si": 0.0405, "Ca": 0.0683, "Ti": 0.0713, "Zn": 0.1055,
    "Ge": 0.3037,
}  # fmt: skip
ALONE = (
    "glass_15kV_K411_std", "glass_15kV_K412_unk", "glass_15kV_MgO_std",
    "glass_15kV_CaF2_std", "adm6005a_20kV_ADM-6005a_1", "adm6005a_20kV_ADM-6005a_2",
    "adm6005a_20kV_SiO2_std", "adm6005a_20kV_CaF2_std",
)  # fmt: skip
GLASS = [f"glass_15kV_{x}_std" for x in ("Al", "CaF2", "Fe", "MgO", "Si")]
K411 = "glass_15kV_K411_std"
# Sample -> its standards.
BESIDE = {
    K411: GLASS,
    "glass_15kV_K412_unk": [*GLASS, K411],
    "adm6005a_20kV_ADM-6005a_1": [
        f"adm6005a_20kV_{x}_std" for x in ("Al", "CaF2", "Ge", "SiO2", "Si", "Zn")
    ],
}
HEADER = ("sample", "element", "found", "truth", "relative error (%)", "z")


def composition(name):
    """Return the mass fractions of a file, normalised."""
    text = measured(f"sem_standards/{name}.msa").read_text(encoding="latin-1")
    found = {x: float(y) for x, y in re.findall(r"\((\w+):([\d.]+)\)", text)} or ADM
    return {element: x / sum(found.values()) for element, x in found.items()}


def spectrum(name):
    """Return a spectrum as a user makes it one of a bulk sample."""
    s = hs.load(measured(f"sem_standards/{name}.msa"))
    s.set_signal_type("EDS_espm_SEM")
    s.set_elements(list(composition(name)))
    return s


def rows(name, standards=()):
    """Return a line for each element of a sample, and its relative errors."""
    s, truth = spectrum(name), composition(name)
    for one in standards:
        atoms = mass_to_atomic_fractions(composition(one))
        s.calibrate_line_factors(spectrum(one), atoms, print_info=False)
    s.decomposition(algorithm="espm", output_dimension=1, print_info=False)
    with contextlib.redirect_stdout(io.StringIO()):
        report = s.print_quantification(units="weight")
    table, errors = [], []
    sample = name.split("_")[2] + (" (20 kV)" if "20kV" in name else " (15 kV)")
    for entry in report.entries:
        expected = 100 * truth[entry.element]
        off = entry.percent - expected
        errors.append(100 * abs(off) / expected)
        numbers = f"{entry.percent:.2f} ± {entry.error:.2f}", f"{expected:.2f}"
        last = f"{100 * off / expected:+.1f}", f"{off / entry.error:+.1f}"
        table.append((sample, entry.element, *numbers, *last))
    label = "largest, mean"
    both = f"{max(errors):.1f}, {np.mean(errors):.1f}"
    table.append((sample, label, "", "", both, ""))
    if standards:
        total = float(s.estimate_mass_total().data[0])
        table.append((sample, "total (%)", f"{total:.1f}", "", "", ""))
    return table


def main(given):
    alone = ALONE[2:3] if given.smoke else ALONE
    table = [row for name in alone for row in rows(name)]
    title = "Without standards, weight percent"
    publish(HEADER, table, given.write, "standardless", title)
    if given.smoke:
        return
    table = [row for name, beside in BESIDE.items() for row in rows(name, beside)]
    title = "With the standards beside them, weight percent"
    publish(HEADER, table, given.write, "with_standards", title)


if __name__ == "__main__":
    run(main, __doc__, page=True)
