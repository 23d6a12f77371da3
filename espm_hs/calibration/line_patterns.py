"""Lines of an element as a spectrum shows them, and patterns of lines that are none.

A family of lines has a spectrum, with what is uncertain of it: shares of lines, their
energies and widths. Decoys are the lines of real elements, shifted to energies where no
element has strong ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from espm_hs.physics import SpectrumModel
from espm_hs.physics.xray.absorption import mass_absorption_coefficient
from espm_hs.physics.xray.detector import FWHM_PER_SIGMA
from espm_hs.physics.xray.elements import atomic_number, symbol
from espm_hs.physics.xray.emission import (
    ATOMIC_NUMBERS,
    EmissionLine,
    FittedRange,
    emission_lines,
    families_in_range,
    free_families,
)
from espm_hs.physics.xray.unabsorbed import Channels, PeakShape, PeakSum
from espm_hs.physics.xray.uncertainty import LineErrors, multiplet, shares_covariance

Array = np.ndarray

# Relative standard error of the emission of a family beside that of tables: what
# absorption by sample and detector makes of it.
DETECTION = 0.15
# What chemistry and satellites make of the peaks of a family, one standard deviation:
# eV, and relative change of their variance.
SHIFT, WIDER = 1.5, 0.03
# Lines that are further (keV) outside the channels leave nothing in them.
MARGIN = 0.3
# Lines that are weaker than this share of the strongest of their family are left out
# where all elements are compared.
WEAK = 0.003
# Between the main lines of two neighbours, where those of decoys may be.
BETWEEN = np.linspace(0.2, 0.48, 8)
# Share of the squares of a family below which errors of it are left out.
SEEN = 1e-7


class Family(NamedTuple):
    """Lines of one family of an element in the spectrum.

    Attributes
    ----------
    element
        Symbol.
    name
        "K", "L" or "M".
    lines
        Those near the channels.
    names_it
        Whether the family may name the element, see `free_families`.
    """

    element: str
    name: str
    lines: tuple[EmissionLine, ...]
    names_it: bool

    @property
    def main(self) -> EmissionLine:
        """The strongest line."""
        return max(self.lines, key=lambda line: line.cross_section)

    @property
    def strong(self) -> list[EmissionLine]:
        """Lines that are not far weaker than the strongest."""
        least = WEAK * self.main.cross_section
        return [line for line in self.lines if line.cross_section > least]


class FamilySpectrum(NamedTuple):
    """Spectrum of a family of lines, and what is uncertain of it.

    Attributes
    ----------
    total
        Shape (n_used,).
    errors
        One standard deviation of each of independent errors, (n_used, n_errors).
    """

    total: Array
    errors: Array


def families_of(element: str, model: SpectrumModel) -> tuple[Family, ...]:
    """Return the families of lines of an element that the channels can show.

    Parameters
    ----------
    element
        Symbol.
    model
        Physics, with its axis.
    """
    energy = model.energy[model.channels]
    fitted = FittedRange(float(energy[0]), float(energy[-1]))
    found = families_in_range(emission_lines(element, model.beam_energy), fitted)
    strongest = {f: max(x, key=lambda x: x.cross_section) for f, x in found.items()}
    # cut off by the end of the range, a family is a rise there, which names nothing
    whole = [f for f, line in strongest.items() if line.energy in fitted]
    naming = [f for f in whole if f not in free_families(element, whole)]
    low, high = fitted.low - MARGIN, fitted.high + MARGIN
    families = tuple(
        Family(element, f, tuple(x for x in m if low < x.energy < high), f in naming)
        for f, m in found.items()
    )
    return families if naming else ()


class Patterns:
    """Spectra of the lines of candidates and of decoys.

    Parameters
    ----------
    model
        Physics, with its axis and detector.
    used
        Boolean, shape (n_channels,): channels in use.
    candidates
        Symbols; those without lines in the channels are left out.

    Attributes
    ----------
    families
        By symbol, those with lines in the channels.
    elements
        Symbols of the candidates with lines.
    whole
        Lines of each element that may name it, shape (n_used, n_elements).
    variance
        Of a peak at each channel, keV2, shape (n_used,).
    """

    def __init__(
        self, model: SpectrumModel, used: np.ndarray, candidates: Iterable[str]
    ) -> None:
        self.model, self.used = model, used
        self.energy = model.energy[used]
        found = {element: families_of(element, model) for element in candidates}
        self.families = {e: families for e, families in found.items() if families}
        self.elements = tuple(self.families)
        naming = [self.naming(element) for element in self.families]
        lines = [x for own in naming for f in own for x in f.strong]
        element = np.repeat(
            np.arange(len(naming)), [sum(len(f.strong) for f in own) for own in naming]
        )
        self.whole = self._spectra(lines, element, len(naming))
        self._decoys_of = lines, element
        fwhm = 1e-3 * model.detector.fwhm(self.energy)
        self.variance = (fwhm / FWHM_PER_SIGMA) ** 2
        self._known: dict[Family, FamilySpectrum] = {}
        self._attenuation: dict[str, Array] = {}

    def naming(self, element: str) -> list[Family]:
        """Families that name an element."""
        return [family for family in self.families[element] if family.names_it]

    @cached_property
    def mains(self) -> Array:
        """Energies of the main lines of all families, keV."""
        own = self.families.values()
        return np.array([family.main.energy for some in own for family in some])

    def attenuation(self, element: str) -> Array:
        """Return the mass absorption coefficient in the channels, cm2/g."""
        if element not in self._attenuation:
            found = mass_absorption_coefficient(element, self.energy)
            self._attenuation[element] = np.asarray(found)
        return self._attenuation[element]

    def family(self, family: Family) -> FamilySpectrum:
        """Return the spectrum of a family: multiplets have errors of their own."""
        if family not in self._known:
            keys = [multiplet(line.transition) for line in family.lines]
            names = list(dict.fromkeys(keys))
            column = np.array([names.index(key) for key in keys])
            spectra = self._spectra(family.lines, column, len(names))
            emitted = np.bincount(column, [x.cross_section for x in family.lines])
            root = np.linalg.cholesky(_covariance(family, emitted))
            total = spectra.sum(axis=1)
            errors = np.hstack([spectra @ root, self._moved_peaks(total)])
            # independent combinations, of which most are too small to be seen
            size, basis = np.linalg.eigh(errors.T @ errors)
            kept = basis[:, size > SEEN * (total @ total)]
            self._known[family] = FamilySpectrum(total, errors @ kept)
        return self._known[family]

    def _moved_peaks(self, lines: Array) -> Array:
        """Change of lines that a chemical shift and satellites make."""
        slope = np.gradient(lines, self.energy)
        bend = self.variance * np.gradient(slope, self.energy)
        return np.column_stack([1e-3 * SHIFT * slope, 0.5 * WIDER * bend])

    def _areas(self, lines: Sequence[EmissionLine], energy: Array) -> Array:
        """Emission (barn) x efficiency of lines, at energies that may be others."""
        detector = self.model.detector
        factors = self.model.line_factors
        emitted = [factors.get(x.key, 1.0) * x.cross_section for x in lines]
        inside = np.clip(energy, self.energy[0], self.energy[-1])
        return 1e24 * np.array(emitted) * detector.efficiency(inside)

    def _spectra(
        self,
        lines: Sequence[EmissionLine],
        column: Array,
        n: int,
        factor: Array | float = 1.0,
    ) -> Array:
        """Sum lines, at so many times their energies, into columns."""
        energy = factor * np.array([line.energy for line in lines])
        detector, axis = self.model.detector, self.model.energy
        sigma = 1e-3 * detector.fwhm(energy) / FWHM_PER_SIGMA
        position = detector.peak_energy(energy)
        shape = PeakShape(position, sigma, detector.tail, 1e-3 * detector.tail_length)
        channels = Channels(float(axis[0]), float(axis[1] - axis[0]), axis.size)
        peaks = PeakSum(channels, shape, column, n)
        return peaks(self._areas(lines, energy))[self.used]

    @cached_property
    def decoys(self) -> Array:
        """Spectra of the same patterns, between those of the elements."""
        lines, element = self._decoys_of
        spectra = []
        for step in (-1, 1):
            factors = [self._decoy_factor(e, step) for e in self.elements]
            moved = np.array(factors)[element]
            spectra.append(self._spectra(lines, element, len(factors), moved))
        decoys = np.hstack(spectra)
        # moved out of the channels, little is left
        return decoys[:, decoys.sum(axis=0) > 0.3 * np.tile(self.whole.sum(axis=0), 2)]

    def _decoy_factor(self, element: str, step: int) -> float:
        """Factor on the energies of an element that leads to where no main line is."""
        own = [family.main for family in self.naming(element)]
        strongest = max(own, key=lambda x: x.cross_section)
        low, high = ATOMIC_NUMBERS
        other = min(max(atomic_number(element) + step, low), high)
        same = [
            x.energy
            for x in emission_lines(symbol(other), self.model.beam_energy)
            if x.transition == strongest.transition
        ]
        ratio = same[0] / strongest.energy if same else 1 + 0.05 * step
        ratio = 1 + 0.05 * step if ratio == 1 else ratio
        factors = ratio**BETWEEN
        energies = factors[:, None] * [line.energy for line in own]
        distance = np.abs(energies[:, :, None] - self.mains).min(axis=2)
        fwhm = 1e-3 * self.model.detector.fwhm(energies)
        return float(factors[(distance / fwhm).min(axis=1).argmax()])


def _covariance(family: Family, emitted: Array) -> Array:
    """Covariance of the relative emission of the multiplets of a family."""
    spread = LineErrors().of(family.element, family.name)
    total = spread.total**2 + DETECTION**2
    tiny = 1e-9 * np.eye(emitted.size)
    return shares_covariance(emitted, spread) + total + tiny
