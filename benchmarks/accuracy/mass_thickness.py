"""Whether the mass thickness of a film lies in the interval that is stated.

    python benchmarks/accuracy/mass_thickness.py [--draws 100]
        [--write docs/quantification.md]

Spectra of oxide films of 30 to 300 nm, whose background is not that of the fit, are
given to `mass_thickness="fit"`. In the first row the atomic data are those of the fit
and the oxides those that the method was made with; in the others neither is, nor are
beam energy and detector. The interval should hold the truth in 95 %, and is the shorter
the more the spectrum tells beyond the prior, whose interval spans a factor of 15.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.zoo import SPREAD, Foreign
from benchmarks.runner import argument, publish, run
from espm_hs.calibration.automatic import AutomaticCalibration, mass_thickness_of
from espm_hs.calibration.energy_scale import MassThickness
from espm_hs.physics import SpectrumModel
from espm_hs.simulation import Experiment, Phase

Film = tuple[Mapping[str, float], float]  # composition, g/cm3

FAMILIAR: Sequence[Film] = (
    ({"Si": 1, "O": 2}, 2.65),
    ({"Mg": 1, "O": 1}, 3.58),
    ({"Sr": 1, "Ti": 1, "O": 3}, 5.12),
    ({"Ba": 1, "Ti": 1, "O": 3}, 6.02),
    ({"Zr": 1, "O": 2}, 5.7),
    ({"Ce": 1, "O": 2}, 7.2),
    ({"Al": 2, "O": 3}, 3.97),
    ({"La": 1, "Al": 1, "O": 3}, 6.5),
    ({"Fe": 2, "O": 3}, 5.25),
    ({"Pb": 1, "Ti": 1, "O": 3}, 7.9),
)
UNFAMILIAR: Sequence[Film] = (
    ({"Hf": 1, "O": 2}, 9.68),
    ({"W": 1, "O": 3}, 7.16),
    ({"Nb": 2, "O": 5}, 4.6),
    ({"Y": 3, "Al": 5, "O": 12}, 4.55),
    ({"Zn": 1, "O": 1}, 5.61),
    ({"In": 2, "O": 3}, 7.18),
    ({"Sn": 1, "O": 2}, 6.95),
    ({"Ca": 1, "Si": 1, "O": 3}, 2.9),
    ({"Bi": 1, "Fe": 1, "O": 3}, 8.2),
    ({"Co": 1, "O": 2}, 5.0),
    ({"Na": 1, "Al": 1, "Si": 3, "O": 8}, 2.62),
    ({"U": 1, "O": 2}, 10.97),
)
AXIS = 0.01 * np.arange(2048)
BEAMS = (80, 120, 200, 300)


class Draw(NamedTuple):
    """The mass thickness of a film (kg/m2), and what is found."""

    true: float
    found: MassThickness


def draw(films: Sequence[Film], foreign: bool, rng: np.random.Generator) -> Draw:
    """Measure a film and fit its mass thickness.

    Parameters
    ----------
    films
        What it may be made of.
    foreign
        Whether atomic data, energy scale, beam energy and detector are not those of
        the fit.
    rng
        Source of everything else.
    """
    composition, density = films[rng.integers(len(films))]
    thickness, counts = rng.uniform(30, 300), 10 ** rng.uniform(4.5, 6.5)
    model = SpectrumModel(
        AXIS,
        float(rng.choice(BEAMS)) if foreign else 200.0,
        list(composition),
        thickness=thickness,
        density=density,
        take_off_angle=rng.uniform(15, 40),
    )
    exponent = rng.uniform(-0.3, 0.4)
    effects = Foreign(background_exponent=exponent)
    if foreign:
        emission = {
            f"{symbol}_{family}": float(np.exp(spread * rng.standard_normal()))
            for symbol in composition
            for family, spread in SPREAD.items()
        }
        effects = Foreign(
            background_exponent=exponent,
            emission=emission,
            wider=rng.uniform(-3, 6),
            shift=rng.uniform(-2, 2),
            low_energy_shift=rng.uniform(0, 20),
        )
    mixture = tuple(rng.dirichlet([1, 1, 1]) * rng.uniform(0.05, 0.3))
    film = Phase("film", composition, density, mixture)
    made = Experiment(model, [film], [[thickness]], counts, effects=effects)
    spectrum = rng.poisson(made.expected().reshape(-1, AXIS.size).sum(axis=0))
    # half of the users know the density
    known = density if rng.random() < 0.5 else None
    asked = model.replace(thickness=None, density=known, unknown=["thickness"])
    found = mass_thickness_of(asked, spectrum, AutomaticCalibration())
    return Draw(1e-6 * thickness * density, found)


def row(title: str, draws: Sequence[Draw]) -> tuple[str, ...]:
    """Return how many draws lie in their interval, and how long it is."""
    true = np.array([one.true for one in draws])
    value, low, high, _ = np.transpose([one.found for one in draws])
    inside = np.mean((low <= true) & (true <= high))
    two = np.mean(np.abs(true - value) < high - value)
    return (
        title,
        str(len(draws)),
        f"{100 * inside:.0f}",
        f"{100 * two:.0f}",
        f"{np.median(high / low):.1f}",
        f"{np.exp(np.median(np.abs(np.log(value / true)))):.2f}",
    )


HEADER = (
    "spectra", "draws", "in the interval (%)", "within two errors (%)",
    "interval spans a factor", "median error, a factor",
)  # fmt: skip
SETTINGS = {
    "as the fit but for the background": (FAMILIAR, False),
    "other oxides": (UNFAMILIAR, False),
    "other oxides, data, detector and beam": (UNFAMILIAR, True),
}


def main(given: argparse.Namespace) -> None:
    """Print a row for each kind of spectra."""
    table = []
    for n, (title, (films, foreign)) in enumerate(SETTINGS.items()):
        rng = np.random.default_rng([21, n])
        table.append(
            row(title, [draw(films, foreign, rng) for _ in range(given.draws)])
        )
    publish(HEADER, table, given.write, "mass_thickness", "Mass thickness of films")


DRAWS = argument("--draws", type=int, default=100, smoke=2, help="spectra of a kind")

if __name__ == "__main__":
    run(main, __doc__, DRAWS, page=True)
