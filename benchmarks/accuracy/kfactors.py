"""k-factors at 200 keV beside a table of a vendor, and beside measured spectra.

The table is what the software of a Thermo Fisher microscope exports, as kept in the
pyTEMlib project (https://github.com/pycroscopy/pyTEMlib, file
data/k_factors_Thermo_200keV.json, commit 00d8af1b792e9a4e155cd6063c5b5dcbf96d1510). It
gives one factor to Ka and Kb, hence to the whole family, by weight and relative to B;
here both tables are relative to Si. Families of heavier elements follow, of which the
table has factors of La1 or Ma1.

The second table says which is nearer to measured spectra of known composition: the
amounts that two families of lines imply, over their true ratio, by either table. Each
family is fitted with an amplitude of its own; 1 is right. The FePt spectrum comes with
eXSpy; the others are read from the folder named by ESPM_HS_TEST_DATA. Run with

    python benchmarks/accuracy/kfactors.py [--write docs/vendors.md]
"""

import exspy
import hyperspy.api as hs
import numpy as np

from benchmarks.accuracy.peak_shape import FEPT, FILMS, described
from benchmarks.runner import measured, publish, run
from espm_hs.factorization import fit_spectrum
from espm_hs.physics import atomic_number, line_factors_from_kfactors
from espm_hs.physics.xray.kfactors import kfactors

VENDOR = {
    "Na": 0.345547, "Mg": 0.327781, "Al": 0.330728, "Si": 0.324726, "P": 0.334291,
    "S": 0.321669, "Cl": 0.334284, "Ar": 0.358291, "K": 0.336238, "Ca": 0.333218,
    "Sc": 0.363890, "Ti": 0.379229, "V": 0.397724, "Cr": 0.402650, "Mn": 0.424546,
    "Fe": 0.432916, "Co": 0.460642, "Ni": 0.465132, "Cu": 0.513247, "Zn": 0.542706,
}  # fmt: skip

# Of the same table.
FAMILIES = {
    "O_K": 0.371908, "Sr_K": 1.39900, "Sr_L": 0.569435, "Pd_L": 0.506174,
    "Ag_L": 0.498260, "Ba_L": 0.534069, "Ta_L": 0.656343, "Ta_M": 0.346374,
    "Pt_L": 0.759814, "Pt_M": 0.325640, "Au_L": 0.785243, "Au_M": 0.319403,
}  # fmt: skip
LIMIT = 0.15
# File -> atoms, pairs of families, and what is known of the film. The foil of SrTiO3 is
# taken to be 90 nm thick, with which its oxygen is right.
FOIL = {"thickness": 90, "density": 5.12, "take_off_angle": 18.0}
SRTIO3 = ({"O": 3, "Sr": 1, "Ti": 1}, [("Sr_K", "Ti_K"), ("Sr_L", "Sr_K")], FOIL)
KNOWN = {
    "srtio3_segment_a.hspy": SRTIO3,
    "srtio3_segment_b.hspy": SRTIO3,
    "sio2_particles_128x128.hspy": ({"O": 2, "Si": 1}, [("O_K", "Si_K")], {}),
}
IN_FEPT = ({"Fe": 15, "Pt": 85}, [("Fe_K", "Pt_L"), ("Pt_M", "Pt_L")], {})


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


def by_weight(names):
    """Return the k-factors of package and vendor by name, relative to Si K."""
    table = {**{f"{element}_K": k for element, k in VENDOR.items()}, **FAMILIES}
    ours = kfactors(names, 200, reference="Si_K")
    return {name: (ours[name], table[name] / table["Si_K"]) for name in names}


def ratios(name, signal, elements, truth, pairs, film):
    """Return what pairs of families of a spectrum say: amounts over their truth."""
    model, counts, _ = described(signal, *elements)
    model = model.replace(composition=truth, **film)
    used = model.channels
    weights, _ = fit_spectrum(model.G[used], counts[used])
    found = {
        f"{c.element}_{c.family}": w / truth[c.element]
        for c, w in zip(model.columns, weights, strict=True)
        if c.element in truth
    }
    rows = []
    for pair in pairs:
        theirs = {line: k for line, (_, k) in by_weight(pair).items()}
        factors = line_factors_from_kfactors(
            theirs, 200, reference="Si_K", basis="weight"
        )
        ours = found[pair[0]] / found[pair[1]]
        vendor = ours * factors[pair[1]] / factors[pair[0]]
        lines = " / ".join(line.replace("_", " ") for line in pair)
        rows.append((name, lines, f"{ours:.2f}", f"{vendor:.2f}"))
    return rows


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
    shown = ["Fe_K", "Cu_K", *FAMILIES]
    heavier = [
        (line.replace("_", " "), *(f"{x:.2f}" for x in (k, vendor, k / vendor)))
        for line, (k, vendor) in by_weight(shown).items()
    ]
    header = ("lines", "espm_hs", "vendor", "ratio")
    publish(header, heavier, given.write, "kfactors", "k-factors by weight, Si K = 1")
    table = ratios("FePt", exspy.data.EDS_TEM_FePt_nanoparticles(), FEPT, *IN_FEPT)
    for file, known in {} if given.smoke else KNOWN.items():
        name = file.removesuffix(".hspy")
        table += ratios(name, hs.load(measured(file)), FILMS[file], *known)
    header = ("spectrum", "lines", "espm_hs", "vendor")
    title = "Amounts by two families over the truth"
    publish(header, table, given.write, "ratios", title)


if __name__ == "__main__":
    run(main, __doc__, page=True)
