"""Measured k-ratios of binary compounds against what the physics of bulk samples has.

The k-ratio of a line is its intensity in a compound over that in the pure element.
Those below were measured by wavelength-dispersive microprobes, at perpendicular
incidence, and published by J. L. Pouchou and F. Pichoir (in K. F. J. Heinrich and D. E.
Newbury, Electron Probe Quantitation, Plenum (1991), p. 31) and G. F. Bastin and H. J.
M. Heijligers (Scanning 12 (1990) 225). Two ways to count ionisations, and their mean,
are compared with them. Run with

    python benchmarks/accuracy/k_ratios.py [--write docs/bulk.md]
"""

import numpy as np

from benchmarks.runner import publish, run
from espm_hs.physics import atomic_weight
from espm_hs.physics.bulk.emission import BulkEmission, Doubt, Geometry
from espm_hs.physics.xray.emission import lines_at

# Emitter, family, the other element, take-off angle, mass fraction of the emitter, then
# beam energies (keV) and k-ratios.
MEASURED = """
Al K B 40 0.5551 4 .515 6 .5178 8 .5188 10 .52 12 .5198 15 .517 20 .513 25 .508 30
  .503
Al K B 40 0.1722 4 .15 6 .1502 8 .1503 10 .1503 12 .1503 15 .1504 20 .1495 25 .149 30
  .1455
Si K B 40 0.478 4 .4465 6 .4528 8 .458 10 .4622 12 .4658 15 .4696 20 .4738 25 .4758 30
  .476
Si K B 40 0.3143 4 .29 6 .294 8 .2978 10 .3002 12 .3036 15 .3072 20 .312 25 .314 30
  .3156
Si K C 40 0.7005 4 .68 6 .6798 8 .679 10 .6787 12 .678 15 .6762 20 .673 25 .6682 30
  .663
Si K N 40 0.6006 4 .564 6 .5655 8 .566 10 .564 12 .5625 15 .557 20 .545
Ti K B 40 0.6993 6 .633 8 .64 10 .6462 12 .6513 15 .6578 20 .6662 25 .6738 30 .6782
Ti K C 40 0.816 6 .7832 8 .7862 10 .7888 12 .791 15 .7938 20 .798 25 .8012 30 .8033
V K C 40 0.84 6 .7952 8 .8013 10 .8065 12 .8111 15 .8162 20 .822 25 .8265 30 .8295
Cr K B 40 0.7269 8 .623 10 .6374 12 .648 15 .6603 20 .6738 25 .681 30 .685
Cr K N 40 0.8882 8 .8518 10 .8595 12 .8635 15 .868 20 .874 25 .8783 30 .8805
Fe K B 40 0.8378 8 .7823 10 .7922 12 .8002 15 .8098 20 .8203 25 .828 30 .833
Fe K C 40 0.9333 8 .9172 10 .9194 12 .9215 15 .9239 20 .927 25 .929 30 .9304
Ni K B 40 0.856 10 .8083 12 .818 15 .8283 20 .8388 25 .8438 30 .845
Zr L B 40 0.8211 4 .754 6 .7662 8 .777 10 .7855 12 .793 15 .8024 20 .814 25 .8225 30
  .829
Mo L C 40 0.9442 4 .906 6 .9128 8 .9182 10 .9225 12 .9264 15 .9312 20 .9373 25 .9418
  30 .9458
Ta M C 40 0.94 4 .8765 6 .8815 8 .8862 10 .8905 12 .8943 15 .9 20 .9088 25 .9162 30
  .922
W L C 40 0.9387 12 .8558 15 .8782 20 .8975 25 .9093 30 .9178
Al K Fe 52.5 0.241 20 .124 25 .098 30 .083
Fe K Al 52.5 0.759 20 .736 25 .742 30 .748
Fe K S 75 0.466 10 .406 12 .421 15 .425 20 .425 25 .422 30 .419
Zn K S 75 0.671 20 .62 25 .626 30 .628
Pb L S 75 0.866 20 .807 25 .809 30 .813 35 .818 40 .826
Al K Ti 40 0.398 7 .3853 10.5 .3543 15.7 .3008 20.8 .2585 26 .2162 31.3 .187 36.4
  .1579 40 .1429
Ti K Al 40 0.602 15.7 .5789 20.9 .5605 26.1 .558 31.3 .5435 36.5 .5437 40 .538
Al K Ni 40 0.309 5.3 .2957 10.5 .2184 15.9 .1576 21.2 .1141 26.6 .0878 31.9 .0683 37.2
  .057
Al K Ni 40 0.125 5.3 .1246 10.5 .0848 15.9 .0585 21.2 .0405 26.6 .0307 31.9 .0233
Al K Cu 40 0.9445 15.9 .8801 21.2 .8441 31.8 .7637 39.9 .7065
Cu K Al 40 0.0555 15.9 .0469 21.2 .0479 31.8 .0487 39.3 .0483
Cu K Ni 40 0.565 10.1 .558 12.5 .5547 15.3 .5556 20.4 .5574 25.6 .561 30.7 .5587 40
  .5557
Cu K Au 52.5 0.5992 25 .651 30 .644 40 .616
Cu K Au 40 0.492 13 .585 15.7 .5697 20.9 .5534 26.1 .5403 31.3 .5298 36.5 .5229
Au L Cu 40 0.508 13 .4174 15.7 .4142 20.9 .4285 26.1 .4348 31.3 .4337 36.5 .4282
Au M Cu 52.5 0.401 10 .332 20 .304 30 .275 40 .253
Cu L Ni 40 0.565 2.5 .5135 5 .4487 7.6 .3876 10.2 .3303 12.6 .2823 15.3 .2419 20.5
  .193 25.6 .1648 30.8 .1489
Pd L Au 40 0.359 5.2 .3921 10.3 .3342 15.5 .2876 20.7 .2445 25.8 .2154 31 .1898
Au M Pd 40 0.641 5.2 .5786 10.3 .5936 15.5 .6005 20.7 .6033 25.8 .5962 31 .5928
"""
# Lines below this energy, keV, excite nothing.
LEAST = 0.2
WAYS = {"own": -0.5, "mean of both": 0.0, "XPP": 0.5}
HEADER = (
    "line", "in", "mass fraction", "keV", "k-ratios", "mean (%)", "rms (%)",
    "rms, own", "rms, XPP",
)  # fmt: skip


def groups():
    """Yield what was measured: line, other element, angle, fraction, energies, ks."""
    for row in MEASURED.replace("\n  ", " ").strip().splitlines():
        element, family, other, angle, share, *pairs = row.split()
        numbers = np.array(pairs, float)
        yield element, family, other, float(angle), float(share), numbers.reshape(-1, 2)


def k_ratio(element, family, other, angle, share, beam, own_area):
    """Return the k-ratio of the strongest line of a family."""
    own = lines_at(element, beam)
    main = max(
        (line for line in own if line.family == family),
        key=lambda line: line.cross_section,
    )
    exciting = [x for x in (*own, *lines_at(other, beam)) if x.energy > LEAST]
    emission = BulkEmission((main, *exciting), (5.0,), beam)
    atoms = {element: share / atomic_weight(element)}
    atoms[other] = (1 - share) / atomic_weight(other)
    doubt = Doubt(own_area=own_area)
    compound, pure = (
        emission.emerging(x, Geometry(angle), doubt)[0][0]
        for x in (atoms, {element: 1.0})
    )
    return share * compound / pure


def deviations(group, own_area):
    """Return by how many percent the model is above what was measured."""
    *what, measured = group
    found = [k_ratio(*what, beam, own_area) for beam in measured[:, 0].tolist()]
    return 100 * (np.array(found) / measured[:, 1] - 1)


def rms(values):
    """Return the root of the mean square as text."""
    return f"{np.sqrt(np.mean(np.square(values))):.1f}"


def main(given):
    chosen = list(groups())[:3] if given.smoke else list(groups())
    found = {way: [deviations(x, shift) for x in chosen] for way, shift in WAYS.items()}
    table = []
    for i, (element, family, other, _, share, measured) in enumerate(chosen):
        own, mean, xpp = (x[i] for x in found.values())
        first, *_, last = measured[:, 0]
        text = f"{element} {family}", other, f"{share:.3f}", f"{first:g} to {last:g}"
        numbers = f"{mean.mean():+.1f}", rms(mean), rms(own), rms(xpp)
        table.append((*text, len(mean), *numbers))
    own, mean, xpp = (np.concatenate(x) for x in found.values())
    numbers = f"{mean.mean():+.1f}", rms(mean), rms(own), rms(xpp)
    table.append(("all", "", "", "", len(mean), *numbers))
    title = "Model over measured k-ratios"
    publish(HEADER, table, given.write, "k_ratios", title)


if __name__ == "__main__":
    run(main, __doc__, page=True)
