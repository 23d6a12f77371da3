"""K-line k-factors of Na to Zn at 200 keV beside a table of a vendor.

The table is what the software of a Thermo Fisher microscope exports, as kept in the
pyTEMlib project (https://github.com/pycroscopy/pyTEMlib, file
data/k_factors_Thermo_200keV.json, commit 00d8af1b792e9a4e155cd6063c5b5dcbf96d1510). It
gives one factor to Ka and Kb, hence to the whole family, by weight and relative to B;
here both tables are relative to Si. Run with

    python benchmarks/accuracy/kfactors.py
"""

import numpy as np

from benchmarks.runner import publish, run
from espm_hs.physics import atomic_number
from espm_hs.physics.xray.kfactors import kfactors

VENDOR = {
    "Na": 0.345547, "Mg": 0.327781, "Al": 0.330728, "Si": 0.324726, "P": 0.334291,
    "S": 0.321669, "Cl": 0.334284, "Ar": 0.358291, "K": 0.336238, "Ca": 0.333218,
    "Sc": 0.363890, "Ti": 0.379229, "V": 0.397724, "Cr": 0.402650, "Mn": 0.424546,
    "Fe": 0.432916, "Co": 0.460642, "Ni": 0.465132, "Cu": 0.513247, "Zn": 0.542706,
}  # fmt: skip

LIMIT = 0.15


def roughness(values):
    """Largest step against a log-quadratic fit in Z through +-4 neighbours."""
    z = np.array([atomic_number(element) for element in values])
    logs = np.log(list(values.values()))
    steps = []
    for i in range(len(z)):
        near = (np.abs(z - z[i]) <= 4) & (z != z[i])
        expected = np.polyfit(z[near] - z[i], logs[near], 2)[-1]
        steps.append(np.expm1(logs[i] - expected))
    return np.abs(steps).max()


def main(given):
    lines = [f"{element}_K" for element in VENDOR]
    ours, atomic = (
        dict(zip(VENDOR, found.values(), strict=True))
        for found in (
            kfactors(lines, 200, reference="Si_K", basis=basis)
            for basis in ("weight", "atomic")
        )
    )
    theirs = {element: k / VENDOR["Si"] for element, k in VENDOR.items()}
    rows = [
        (element, *(f"{x:.3f}" for x in (k, theirs[element], k / theirs[element])))
        for element, k in ours.items()
    ]
    publish(("element", "ours", "vendor", "ratio"), rows)
    worst = max(abs(ours[e] / theirs[e] - 1) for e in VENDOR)
    # by numbers of atoms: atomic weights do not rise smoothly with Z
    rough = roughness(atomic)
    print(f"largest deviation {worst:.1%}, largest step in Z {rough:.1%} (by atoms)")
    if worst > LIMIT or rough > LIMIT:
        raise SystemExit(f"more than {LIMIT:.0%}")


if __name__ == "__main__":
    run(main, __doc__)
