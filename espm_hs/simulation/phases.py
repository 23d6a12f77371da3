"""What a simulated sample is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.constants import Avogadro

from espm_hs.physics import atomic_to_mass_fractions, atomic_weight


@dataclass(frozen=True, eq=False)
class Phase:
    """
    A material.

    Parameters
    ----------
    name : str
        For tables and legends.
    composition : mapping of str to float
        Symbol -> atomic fraction; normalised here.
    density : float
        g/cm3.
    background : float or tuple of float
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

    def __post_init__(self):
        if not 0 < self.density < 30:
            raise ValueError(
                f"The density of {self.name} must be above 0 and below 30 g/cm3, "
                f"found {self.density}."
            )
        if any(x < 0 for x in self.composition.values()) or not self.composition:
            raise ValueError(
                f"{self.name} needs atomic fractions of 0 or more, found "
                f"{dict(self.composition)}."
            )
        total = sum(self.composition.values())
        if not 0 < total < float("inf"):
            raise ValueError(f"The atomic fractions of {self.name} add up to {total}.")
        fractions = {symbol: x / total for symbol, x in self.composition.items()}
        for symbol in fractions:
            atomic_weight(symbol)  # raises for what is not an element
        object.__setattr__(self, "composition", fractions)

    @property
    def mass_fractions(self) -> dict[str, float]:
        """By symbol."""
        return atomic_to_mass_fractions(self.composition)

    @property
    def atoms_per_volume(self) -> float:
        """Atoms in a layer of 1 nm x 1 cm2."""
        mean = sum(x * atomic_weight(symbol) for symbol, x in self.composition.items())
        return self.density * 1e-7 * Avogadro / mean
