"""How vacancies in inner shells fill: atomic data of xraylib, repaired.

Fluorescence yields, Coster-Kronig probabilities, radiative and Auger rates of
xraylib (compiled there from Krause, Elam, Campbell and others, doi:
10.1016/j.sab.2011.09.011) have a few entries that break their smooth run with
atomic number and show as lines of wrong height in measured spectra. They are
replaced here, each with its reason, by values of other tables or by interpolation
between good neighbours.

The other tables are: M. O. Krause, J. Phys. Chem. Ref. Data 8 (1979) 307 (yields and
Coster-Kronig probabilities of the L shell); M. H. Chen, B. Crasemann and H. Mark,
Phys. Rev. A 21 (1980) 449 (M4 and M5 yields); E. J. McGuire, Phys. Rev. A 5 (1972)
1043 (M4-M5 Coster-Kronig probabilities); S. T. Perkins et al., EADL, report
UCRL-50400 vol. 30 (1991) (radiative rates of M4 and M5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import xraylib

from espm_hs.physics.xray.elements import atomic_number, value_of
from espm_hs.physics.xray.ionization import SUBSHELLS

_INDEX = {shell: i for i, shell in enumerate(SUBSHELLS)}

# Yields of other tables, by subshell and atomic number
_STATED_YIELDS = {
    # Sn (Krause): xraylib's are 8 % and 5 % above the run from In to Te
    ("L2", 50): 0.065,
    ("L3", 50): 0.064,
    # W (Chen et al.): xraylib has the yields of Hf to Os for M4-M5N6,7 Coster-Kronig
    # decays that are possible, but probabilities of these decays that say they are not;
    # what they leave goes to photons as well, and M beta is 1.5 times as strong
    ("M4", 74): 0.0200,
}

# (subshell, atomic numbers with a bad yield) -> the good neighbours between which
# the logarithm of the yield is linear in Z. Steps with a cause stay: L1 at Sn and L2
# at Zn, where Coster-Kronig decays to M4,5 become impossible; L2 and L3 at Sc, where
# the 3d shell begins to fill
_YIELD_REPAIRS = (
    # P: ten times below Si and S, a slip of the decimal point
    ("L2", range(15, 16), (14, 16)),
    ("L3", range(15, 16), (14, 16)),
    # Re: all three L yields a third below those of W and Os; W L2: that of Os
    ("L1", range(75, 76), (74, 76)),
    ("L2", range(74, 76), (73, 76)),
    ("L3", range(75, 76), (74, 76)),
    # Ir: 20 % above Os and Pt, between which the yield falls
    ("L1", range(77, 78), (76, 78)),
    # Sb: above Te; the L lines come out 13 % too strong
    ("L2", range(51, 52), (50, 52)),
    ("L3", range(51, 52), (50, 52)),
    # Ir to Pb: a single entry of Au, ten times too high, spread by interpolation
    ("M2", range(77, 83), (76, 83)),
    # Hf to Pt: see W above
    ("M4", range(72, 74), (71, 74)),
    ("M4", range(75, 79), (74, 79)),
    # La to Pr: none for La, then a straight line from 0; the run above goes on
    ("M5", range(57, 60), (60, 63)),
)

# 4f electrons fill M4 and M5 vacancies from La on (the core hole pulls 4f down),
# but these rates are missing below Gd, above which they hardly change
_MISSING_4F_RATES = range(57, 64)
_FIRST_WITH_4F_RATES = 64

# M Coster-Kronig probabilities start at Ho; those of Ho serve the elements below
# that have M lines in the range of a detector
_MISSING_M_COSTER_KRONIG = range(57, 67)
_FIRST_WITH_M_COSTER_KRONIG = 67

# M4-M5 ones start at Yb, where they hold back a quarter of the M4 photons; they open
# with the 4f shell (McGuire, linear in Z between Nd, Eu, Ho and Yb, which is xraylib's)
_M4_TO_M5 = ((57, 60, 63, 67, 70), (0.0, 0.267, 0.369, 0.408, 0.420))

# Sn and Sb (Krause): L1-L3 decays end at Sn, but xraylib has a second step at Te
_STATED_COSTER_KRONIG = {
    (50, "L1", "L2"): 0.17,
    (50, "L1", "L3"): 0.27,
    (50, "L2", "L3"): 0.157,
    (51, "L1", "L2"): 0.17,
    (51, "L1", "L3"): 0.28,
    (51, "L2", "L3"): 0.156,
}

# Shares of weak lines in the photons of their subshells: those of EADL, linear in log
# and Z, as xraylib's are older. M4N2 and M5N3 (M zeta) fall too slowly with Z there and
# show 1.6 times too strong in the spectrum of FePt; they are replaced from where both
# tables agree on. M3N5 (M gamma) shows 1.4 times too weak, by which the tables differ
_SHARES = {
    ("M4", "N2"): ((72, 74, 78, 82, 92), (0.1368, 0.1098, 0.0749, 0.0566, 0.0420)),
    ("M5", "N3"): ((76, 78, 82, 92), (0.0706, 0.0594, 0.0434, 0.0294)),
    ("M3", "N5"): ((72, 78, 82, 92), (0.6559, 0.6262, 0.6033, 0.5625)),
}


class RadiativeTransition(NamedTuple):
    """A vacancy that moves outwards and leaves a photon.

    Attributes
    ----------
    initial, final
        Subshell of the vacancy before and after; the final one may be a group
        ("O45") or a shell ("O").
    rate
        Share of the radiative decays of the initial subshell.
    energy
        keV; 0 if unknown.
    """

    initial: str
    final: str
    rate: float
    energy: float


@dataclass(frozen=True)
class Relaxation:
    """Relaxation data of one element, subshells in the order K, L1 ... M5.

    Attributes
    ----------
    fluorescence_yield
        Shape (9,): probability that a vacancy decays by a photon.
    coster_kronig
        Shape (9, 9): probability that a vacancy moves from row to column in its own
        shell.
    auger
        Shape (9, 9): mean number of vacancies in the column left by one Auger decay
        of the row; both final vacancies are counted.
    radiative
        Transitions that emit a photon.
    """

    fluorescence_yield: np.ndarray
    coster_kronig: np.ndarray
    auger: np.ndarray
    radiative: tuple[RadiativeTransition, ...]

    @property
    def auger_yield(self) -> np.ndarray:
        """Probability of an Auger decay, shape (9,): what the others leave."""
        rest = 1 - self.fluorescence_yield - self.coster_kronig.sum(axis=1)
        return np.maximum(rest, 0)

    @cached_property
    def vacancies(self) -> np.ndarray:
        """Vacancies that one ionisation makes in the end, cascade included.

        Shape (9, 9). The row is the ionised subshell, the column the one in which the
        mean number of vacancies that ever exist is counted; upper triangular, with
        diagonal 1.
        """
        # mean number of vacancies made in the column by one decay in the row
        step = self.coster_kronig + self.auger_yield[:, None] * self.auger
        for transition in self.radiative:
            if transition.final in _INDEX:
                row, column = _INDEX[transition.initial], _INDEX[transition.final]
                step[row, column] += self.fluorescence_yield[row] * transition.rate
        step = np.triu(step, k=1)
        total = np.eye(len(SUBSHELLS))
        # a vacancy only moves outwards, so all arrivals in a subshell are known when
        # its turn comes
        for shell in range(len(SUBSHELLS)):
            total += np.outer(total[:, shell], step[shell])
        return total


@cache
def relaxation(element: str | int, *, repaired: bool = True) -> Relaxation:
    """Relaxation data of an element.

    Parameters
    ----------
    element
        Symbol or atomic number.
    repaired
        False: as xraylib has them (for comparisons).

    Raises
    ------
    ValueError
        If there is no such element.
    """
    z = atomic_number(element)
    yields = np.array([_fluorescence_yield(z, s, repaired) for s in SUBSHELLS])
    coster_kronig = _coster_kronig(z, yields, repaired)
    return Relaxation(yields, coster_kronig, _auger(z), _radiative(z, repaired))


def _fluorescence_yield(z: int, shell: str, repaired: bool) -> float:
    if repaired and (shell, z) in _STATED_YIELDS:
        return _STATED_YIELDS[shell, z]
    for repaired_shell, numbers, ends in _YIELD_REPAIRS * repaired:
        if shell == repaired_shell and z in numbers:
            low, high = (np.log(_fluorescence_yield(n, shell, True)) for n in ends)
            share = (z - ends[0]) / (ends[1] - ends[0])  # below 0 beyond the ends
            return float(np.exp(low + share * (high - low)))
    return value_of(xraylib.FluorYield, z, getattr(xraylib, f"{shell}_SHELL"))


def _coster_kronig(z: int, yields: np.ndarray, repaired: bool) -> np.ndarray:
    matrix = np.zeros((len(SUBSHELLS), len(SUBSHELLS)))
    missing_m = repaired and z in _MISSING_M_COSTER_KRONIG
    for constant, (shell, initial, final) in _constants(r"F([LM])(\d)(\d)_TRANS"):
        source = _FIRST_WITH_M_COSTER_KRONIG if missing_m and shell == "M" else z
        probability = value_of(xraylib.CosKronTransProb, source, constant)
        matrix[_INDEX[shell + initial], _INDEX[shell + final]] = probability
    if repaired:
        for (number, *ends), probability in _STATED_COSTER_KRONIG.items():
            if number == z:
                matrix[_INDEX[ends[0]], _INDEX[ends[1]]] = probability
        numbers, probabilities = _M4_TO_M5
        if numbers[0] <= z < numbers[-1]:
            f45 = np.interp(z, numbers, probabilities)
            matrix[_INDEX["M4"], _INDEX["M5"]] = f45
    # xraylib's M1 row of Ho to Tm sums to up to 1.1
    total = np.maximum(matrix.sum(axis=1), 1e-300)
    return matrix * np.minimum(1, (1 - yields) / total)[:, None]


def _auger(z: int) -> np.ndarray:
    counts = np.zeros((len(SUBSHELLS), len(SUBSHELLS)))
    names = r"([KLM]\d?)_([A-Z]\d)([A-Z]\d)_AUGER"
    for constant, (initial, *final) in _constants(names):
        rate = value_of(xraylib.AugerRate, z, constant)
        for shell in final:
            if rate > 0 and shell in _INDEX:
                counts[_INDEX[initial], _INDEX[shell]] += rate
    return counts


def _radiative(z: int, repaired: bool) -> tuple[RadiativeTransition, ...]:
    found = []
    names = r"(K|L\d|M\d)([LMNOPQ]\d*)_LINE"
    for constant, (initial, final) in _constants(names):
        source = z
        if repaired and z in _MISSING_4F_RATES and initial in ("M4", "M5"):
            source = _FIRST_WITH_4F_RATES
        rate = value_of(xraylib.RadRate, source, constant)
        if rate > 0:
            energy = value_of(xraylib.LineEnergy, z, constant)
            energy = energy or _difference_of_edges(z, initial, final)
            found.append(RadiativeTransition(initial, final, rate, energy))
    return tuple(_with_shares(z, found) if repaired else found)


def _with_shares(
    z: int, transitions: list[RadiativeTransition]
) -> Iterator[RadiativeTransition]:
    """Give some lines their shares; the others of the subshell have the rest."""
    shares = {
        key: float(np.exp(np.interp(z, numbers, np.log(values))))
        for key, (numbers, values) in _SHARES.items()
        if z >= numbers[0]
    }
    rest = {
        initial: (1 - shares[initial, final]) / (1 - rate)
        for initial, final, rate, _ in transitions
        if (initial, final) in shares
    }
    for one in transitions:
        given = shares.get((one.initial, one.final))
        rate = one.rate * rest.get(one.initial, 1.0) if given is None else given
        yield one._replace(rate=rate)


def _difference_of_edges(z: int, *shells: str) -> float:
    """Energy of a line in keV, where xraylib has none."""
    # an outer shell without an edge is bound by less than the width of a peak
    numbers = [getattr(xraylib, f"{shell}_SHELL", -1) for shell in shells]
    first, second = (value_of(xraylib.EdgeEnergy, z, number) for number in numbers)
    return max(first - second, 0.0) if first > 0 else 0.0


@cache
def _constants(pattern: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Constants of xraylib whose name matches a pattern, with its groups."""
    matches = (re.fullmatch(pattern, name) for name in dir(xraylib))
    return tuple((getattr(xraylib, m.string), m.groups()) for m in matches if m)
