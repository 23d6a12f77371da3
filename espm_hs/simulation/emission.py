"""What a sample is made of, and the photons that its phases send to the detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.constants import Avogadro

from espm_hs.arguments import check_number
from espm_hs.physics import (
    SpectrumModel,
    atomic_to_mass_fractions,
    atomic_weight,
    escape_through,
    mass_absorption_coefficient,
)
from espm_hs.physics.xray.elements import normalised_fractions
from espm_hs.physics.xray.unabsorbed import CM2_PER_BARN

_CM_PER_NM = 1e-7


@dataclass(frozen=True, eq=False)
class Phase:
    """A material.

    Parameters
    ----------
    name
        For tables and legends.
    composition
        Symbol -> atomic fraction; normalised here.
    density
        g/cm3.
    background
        Share of the photons, among those the detector would count if nothing were
        absorbed, that is bremsstrahlung: one number, or one for each of the three
        terms of the model.

    Raises
    ------
    ValueError
        If a number is out of range or an element unknown.
    """

    name: str
    composition: Mapping[str, float]
    density: float
    background: float | tuple[float, ...] = 0.1

    def __post_init__(self) -> None:
        check_number(f"density of {self.name} (g/cm3)", self.density, 0, 30, above=True)
        try:
            fractions = normalised_fractions(self.composition)
        except ValueError as error:
            raise ValueError(f"The composition of {self.name}: {error}") from None
        object.__setattr__(self, "composition", fractions)

    @property
    def mass_fractions(self) -> dict[str, float]:
        """By symbol."""
        return atomic_to_mass_fractions(self.composition)

    @property
    def atoms_per_volume(self) -> float:
        """Atoms in a layer of 1 nm x 1 cm2."""
        mean = sum(x * atomic_weight(symbol) for symbol, x in self.composition.items())
        return self.density * _CM_PER_NM * Avogadro / mean


class Emission:
    """Counts per nm of each phase and unit of dose, line by line, before absorption.

    A unit of dose is an electron times the share of the sphere that the detector
    covers.

    Parameters
    ----------
    model
        Physics, with all elements of the phases.
    phases
        What shines.
    stray
        Stray element of the model -> share of the counts of each phase in its lines.
    background_exponent
        See `Effects`.

    Attributes
    ----------
    lines
        Shape (n_lines, n_phases). Weights of ``line_spectra``, shape (n_channels,
        n_lines).
    background
        Shape (n_channels, n_phases). Bremsstrahlung.
    energy
        Shape (n_lines + n_channels,). Of the lines, then of the channels (the beam
        energy for those not fitted), keV.
    absorption
        Shape (n_lines + n_channels, n_phases). Optical depth of 1 nm of each phase for
        the lines (0 for stray ones), then for the channels.

    Raises
    ------
    ValueError
        If a phase has elements that the model has not, or the shares of background
        and stray elements leave nothing for the lines of a phase.
    """

    def __init__(
        self,
        model: SpectrumModel,
        phases: Sequence[Phase],
        stray: Mapping[str, float],
        background_exponent: float = 0.0,
    ):
        check_elements(model, phases, stray)
        self.take_off_angle = model.take_off_angle
        sources = model.sources()
        self.line_spectra = sources.line_spectra
        sums = self.line_spectra.sum(axis=0)
        shown = [model.columns[i] for i in sources.lines.column]
        sample = np.array([column.kind != "stray" for column in shown])
        elements = [column.element for column in shown]

        fractions = np.array(
            [[phase.composition.get(e, 0.0) for phase in phases] for e in elements]
        )
        density = np.array([phase.atoms_per_volume for phase in phases])
        atoms = fractions * density * CM2_PER_BARN
        self.lines = np.where(sample[:, None], atoms, 0.0)
        from_sample = sums @ self.lines

        background = _backgrounds(sources.background, phases)
        left = 1 - background.sum(axis=0) - sum(stray.values())
        for phase, rest in zip(phases, left, strict=True):
            if rest <= 0:
                raise ValueError(
                    f"Background and stray lines take {1 - rest:.2f} of the counts of "
                    f"{phase.name}, which leaves nothing for its own lines: their "
                    "shares must add up to less than 1."
                )
        self.background = (
            from_sample / left * _tilted(background, model, background_exponent)
        )
        for element, share in stray.items():
            own = ~sample & (np.array(elements) == element)
            self.lines[own] = share * from_sample / left / sums[own].sum()
        visible = np.where(model.channels, model.energy, model.beam_energy)
        self.energy = np.concatenate([sources.lines.energy, visible])
        self.absorption = _optical_depths(self.energy, phases)
        self.absorption[: len(sample)][~sample] = 0

    def spectra(self, thickness: np.ndarray) -> np.ndarray:
        """Spectra of 1 nm of each phase within a foil of this phase alone.

        Parameters
        ----------
        thickness
            Shape (n_phases,). Of the foil, nm.

        Returns
        -------
        array, shape (n_channels, n_phases)
            Counts per nm and unit of dose.
        """
        share = np.ones(self.absorption.shape)
        if self.take_off_angle is not None:
            share = escape_through(self.absorption * thickness, self.take_off_angle)
        lines, background = np.split(share, [len(self.lines)])
        return self.line_spectra @ (self.lines * lines) + self.background * background


def check_elements(
    model: SpectrumModel, phases: Sequence[Phase], stray: Mapping[str, float]
) -> None:
    """Raise ValueError for elements that the model has not."""
    for phase in phases:
        unknown = sorted(set(phase.composition) - set(model.elements))
        if unknown:
            raise ValueError(
                f"{phase.name} contains {', '.join(unknown)}, which the model has not: "
                f"it knows {', '.join(model.elements)}. Add them to its elements."
            )
    unknown = sorted(set(stray) - set(model.stray_elements))
    if unknown:
        raise ValueError(
            f"stray names {', '.join(unknown)}, which the model has not: build it with "
            f"stray_elements={sorted({*model.stray_elements, *unknown})}."
        )
    if any(share < 0 for share in stray.values()):
        raise ValueError(f"Shares of stray lines must not be negative: {dict(stray)}.")


def background_terms(phase: Phase, n_terms: int) -> np.ndarray:
    """Share of each background term in the counts of a phase."""
    shares = np.asarray(phase.background, dtype=float)
    if shares.ndim == 0 and n_terms:
        # real backgrounds are mostly made of the terms that fall with energy
        shares = shares * np.arange(1, n_terms + 1) / (n_terms * (n_terms + 1) / 2)
    elif n_terms == 0:
        return np.zeros(0)
    if shares.shape != (n_terms,):
        raise ValueError(
            f"The background of {phase.name} is a number, or {n_terms} numbers, one "
            f"for each term; found {phase.background}."
        )
    if np.any(shares < 0):
        raise ValueError(
            f"The background of {phase.name} must not be negative, found "
            f"{phase.background}."
        )
    return shares


def _backgrounds(shapes: np.ndarray, phases: Sequence[Phase]) -> np.ndarray:
    """Background of each phase; its sum is its share of the counts."""
    terms = np.array([background_terms(phase, shapes.shape[1]) for phase in phases]).T
    return shapes / shapes.sum(axis=0) @ terms


def _tilted(
    backgrounds: np.ndarray, model: SpectrumModel, exponent: float
) -> np.ndarray:
    """Backgrounds times energy**-exponent, with the sums they had."""
    if exponent == 0:
        return backgrounds
    energy = np.where(model.channels, model.energy, 1.0)
    tilted = backgrounds * (energy**-exponent)[:, None]
    sums = tilted.sum(axis=0)
    return tilted * (backgrounds.sum(axis=0) / np.where(sums > 0, sums, 1.0))


def _optical_depths(energy: np.ndarray, phases: Sequence[Phase]) -> np.ndarray:
    """Optical depth of 1 nm of each phase, shape (n_energies, n_phases)."""
    masses = np.array([phase.density * _CM_PER_NM for phase in phases])  # g/cm2
    fractions = [phase.mass_fractions for phase in phases]
    return (
        masses
        * np.array([mass_absorption_coefficient(one, energy) for one in fractions]).T
    )
