"""What of each line, and of the continuum, leaves a bulk sample.

All that depends on the lines alone is prepared once; what depends on the composition is
cheap, as it is computed for each phase in each round of a fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from scipy.constants import N_A

from espm_hs.physics.bulk.absorption import coefficients_of_lines
from espm_hs.physics.bulk.depth import (
    DepthDistribution,
    Shells,
    cross_section_exponent,
    depth_distribution,
)
from espm_hs.physics.bulk.fluorescence import escaping_share, vacancies_by_photons
from espm_hs.physics.bulk.generation import free_vacancies, generated_depths
from espm_hs.physics.bulk.parabolas import Parabolas, parabolas
from espm_hs.physics.bulk.stopping import mean_over_mass, stopping_power
from espm_hs.physics.xray.absorption import (
    Angles,
    mass_absorption_coefficient,
    material_data,
)
from espm_hs.physics.xray.elements import (
    atomic_number,
    atomic_to_mass_fractions,
    atomic_weight,
)
from espm_hs.physics.xray.emission import EmissionLine
from espm_hs.physics.xray.ionization import SUBSHELLS, edge_energy

Array = np.ndarray

#: Mass thickness of the layer that what emerges is compared with: 1 mg/cm2, in g/cm2
#: and in kg/m2.
LAYER, LAYER_KG_M2 = 1e-3, 1e-2

# Photons of the continuum per electron, atomic number and keV, times E / (E0 - E): the
# law of H. A. Kramers (Phil. Mag. 46 (1923) 836) with an efficiency of 1.3e-9 Z V. His
# own is 1.1e-9; measured spectra of the standards of `benchmarks`, relative to their
# lines, have 1.1e-9 to 1.4e-9 at the energies that excite.
_KRAMERS = 2.6e-6
# Parts of the continuum that excite lines, and the energy from which they do, keV.
_PARTS, _LEAST = 24, 0.5
# Exponent of the cross section that the depth distribution of the continuum has.
_CONTINUUM = 0.86


class Geometry(NamedTuple):
    """How beam, sample and detectors stand to each other.

    Attributes
    ----------
    angles
        Take-off angles, degrees.
    tilt
        Between the beam and the normal of the surface, degrees.
    coating
        Layer on the surface, material and nm.
    """

    angles: Angles
    tilt: float = 0.0
    coating: tuple[str, float] | None = None

    @property
    def layer(self) -> tuple[dict[str, float], float]:
        """Mass fractions of the coating, and its mass thickness, g/cm2."""
        material, thickness = self.coating or ("C", 0.0)
        fractions, density = material_data(material)
        return fractions, density * thickness * 1e-7

    @property
    def cosecants(self) -> Array:
        """Ways out of the sample over the depth, one for each detector."""
        return 1 / np.sin(np.radians(np.atleast_1d(self.angles)))


class Doubt(NamedTuple):
    """How far the physics of a bulk sample may be off.

    Attributes
    ----------
    absorption
        What the absorption of each line is multiplied with.
    own_area
        How far the ionisations along the path are from the geometric mean of two
        models: at -1/2 they are those of `generated_depths`, at 1/2 those of XPP, which
        has another stopping power and other cross sections.
    shape
        How far what leaves the sample is from that of `parabolas`: at 1 it is that of
        XPP.
    """

    absorption: Array | float = 1.0
    own_area: float = 0.0
    shape: float = 0.0


#: No doubt.
SURE = Doubt()


class _Made(NamedTuple):
    """What electrons make in a sample; arrays of lines, channels, or what excites.

    Attributes
    ----------
    lines, simple, absorption, depths
        Of each line: its depth distribution, that of XPP, the absorption coefficient of
        the sample (cm2/g), and what is generated, as the depth of a free layer (g/cm2).
    continuum, continuum_absorption
        Depth distribution in each channel, and the absorption coefficient.
    exciting_absorption, exciting_depth
        Absorption coefficient and mean depth of what excites lines.
    excited
        What of each line is emitted by what excites it, g/cm2, shape (n_lines,
        n_exciting), times the share that leaves the sample.
    """

    lines: Parabolas
    simple: DepthDistribution
    absorption: Array
    depths: Array
    continuum: Parabolas
    continuum_absorption: Array
    exciting_absorption: Array
    exciting_depth: Array
    excited: Array

    def escaping(self, chi: Array, doubt: Doubt) -> Array:
        """Return the share of each line that leaves the sample."""
        found = self.lines.escaping(chi)
        if doubt.shape:
            found = found * (self.simple.escaping(chi) / found) ** doubt.shape
        return found


@dataclass(frozen=True)
class BulkEmission:
    """Lines and channels of a model, and what of them leaves samples.

    Attributes
    ----------
    lines
        Lines that reach the fitted channels.
    channels
        Energies of the fitted channels, keV.
    beam_energy
        keV.
    """

    lines: tuple[EmissionLine, ...]
    channels: tuple[float, ...]
    beam_energy: float
    _known: dict[str, Array] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def energy(self) -> Array:
        """Energies of the lines, keV."""
        return np.array([line.energy for line in self.lines])

    @cached_property
    def _groups(self) -> tuple[tuple[tuple[str, int], ...], Array]:
        """Emitting elements with their subshells, and that of each line."""
        keys = [
            (line.element, SUBSHELLS.index(initial_subshell(line)))
            for line in self.lines
        ]
        groups = tuple(dict.fromkeys(keys))
        return groups, np.array([groups.index(key) for key in keys])

    @cached_property
    def _shells(self) -> Shells:
        """Ionised shells, one for each group."""
        groups, _ = self._groups
        names = [(element, SUBSHELLS[i]) for element, i in groups]
        return Shells(
            np.array([edge_energy(*name) for name in names]),
            np.array(
                [cross_section_exponent(atomic_number(x), s[0]) for x, s in names]
            ),
        )

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """Energies (keV) of parts of the continuum, and their photons per charge."""
        edges = np.geomspace(_LEAST, 0.999 * self.beam_energy, _PARTS + 1)
        middle = np.sqrt(edges[1:] * edges[:-1])
        photons = _KRAMERS * (self.beam_energy - middle) / middle * np.diff(edges)
        return middle, photons

    @cached_property
    def _exciting(self) -> Array:
        """Energies of what excites: lines, then parts of the continuum."""
        return np.concatenate([self.energy, self._parts[0]])

    @cached_property
    def _yields(self) -> Array:
        """What each exciting photon makes, shape (n_lines, n_exciting), cm2.

        It is the cross section of photoabsorption by an atom of the element of the
        line, times the vacancies of an absorbed photon, over those of an electron.
        """
        groups, group = self._groups
        found = np.zeros((len(groups), self._exciting.size))
        for i, (element, shell) in enumerate(groups):
            made = vacancies_by_photons(element, self._exciting)[:, shell]
            mu = np.asarray(mass_absorption_coefficient(element, self._exciting))
            free = free_vacancies(element, self.beam_energy)[shell]
            found[i] = made * mu * atomic_weight(element) / N_A / free
        return found[group]

    def _coefficient(self, element: str) -> Array:
        """Absorption coefficients for what excites, then the channels, cm2/g."""
        if element not in self._known:
            energy = np.concatenate([self._parts[0], self.channels])
            others = np.asarray(mass_absorption_coefficient(element, energy))
            own = coefficients_of_lines(element, self.lines)
            self._known[element] = np.concatenate([own, others])
        return self._known[element]

    def emerging(
        self,
        composition: Mapping[str, float],
        geometry: Geometry,
        doubt: Doubt = SURE,
    ) -> tuple[Array, Array]:
        """Return what leaves a sample, over what a layer of 1 mg/cm2 emits.

        Parameters
        ----------
        composition
            Atomic fractions by symbol, in any unit.
        geometry
            Angles and coating.
        doubt
            How far the physics may be off.

        Returns
        -------
        tuple of two numpy.ndarray
            Of each line of the sample, by an atom of its element; and the share of the
            continuum that leaves the sample, in each channel.
        """
        made = self._made(composition, geometry, doubt)
        through = self._coating(geometry)
        lines, channels = np.zeros(self.energy.size), np.zeros(len(self.channels))
        for cosecant in geometry.cosecants:
            chi = made.absorption * cosecant * doubt.absorption
            excited = made.excited * escaping_share(
                made.exciting_absorption, chi[:, None], 1 / made.exciting_depth
            )
            direct = made.depths * made.escaping(chi, doubt)
            passed = np.exp(-through * cosecant)
            lines += passed[: chi.size] * (direct + excited.sum(axis=1))
            channels += passed[chi.size :] * made.continuum.escaping(
                made.continuum_absorption * cosecant
            )
        n = len(geometry.cosecants)
        return lines / LAYER / n, channels / n

    def _made(
        self, composition: Mapping[str, float], geometry: Geometry, doubt: Doubt
    ) -> _Made:
        """Return what electrons make in a sample, see `emerging`."""
        mass = atomic_to_mass_fractions(composition)
        mass = {name: share for name, share in mass.items() if share > 0}
        mu = sum(share * self._coefficient(name) for name, share in mass.items())
        of_lines, of_parts, of_channels = np.split(
            mu, np.cumsum([self.energy.size, _PARTS])
        )
        entering, tilt = self._entering(geometry), geometry.tilt
        _, group = self._groups
        simple = depth_distribution(mass, self._shells, entering, tilt)
        shells = parabolas(simple, mass, self._shells, entering, tilt).of(group)
        simple = simple.of(group)
        depths = self._depths(mass, entering, tilt)
        other = simple.area * self._slower(entering)
        depths = depths * (other / depths) ** (0.5 + doubt.own_area)
        continuous = np.concatenate([self._parts[0], self.channels])
        everywhere = Shells(continuous, np.full(continuous.shape, _CONTINUUM))
        below = depth_distribution(mass, everywhere, entering, tilt)
        continuum = parabolas(below, mass, everywhere, entering, tilt)
        photons = self._photons(mass, depths)
        exciting = np.concatenate([of_lines, of_parts])
        return _Made(
            shells,
            simple,
            of_lines,
            depths,
            continuum.of(slice(_PARTS, None)),
            of_channels,
            exciting,
            np.concatenate([simple.mean_depth, below.mean_depth[:_PARTS]]),
            self._yields * photons / exciting,
        )

    def _depths(self, mass: Mapping[str, float], entering: float, tilt: float) -> Array:
        """Return what is generated of each line, see `generated_depths`."""
        groups, group = self._groups
        found = {
            element: generated_depths(element, mass, entering, self.beam_energy, tilt)
            for element in dict.fromkeys(element for element, _ in groups)
        }
        return np.array([found[element][shell] for element, shell in groups])[group]

    def _slower(self, entering: float) -> Array:
        """Return the ionisation of electrons behind the coating over that before it."""
        groups, group = self._groups
        made = [
            np.divide(
                free_vacancies(element, entering)[shell],
                free_vacancies(element, self.beam_energy)[shell],
            )
            for element, shell in groups
        ]
        return np.array(made)[group]

    def _photons(self, mass: Mapping[str, float], depths: Array) -> Array:
        """Return the photons per electron, of the lines and of the parts."""
        of_element = {x: share / atomic_weight(x) for x, share in mass.items()}
        atoms = np.array([of_element.get(line.element, 0.0) for line in self.lines])
        section = np.array([line.cross_section for line in self.lines])
        charge = sum(share * atomic_number(x) for x, share in mass.items())
        return np.concatenate([N_A * atoms * section * depths, charge * self._parts[1]])

    def _entering(self, geometry: Geometry) -> float:
        """Return the energy of the electrons below the coating, keV."""
        if not geometry.coating:
            return self.beam_energy
        fractions, mass = geometry.layer
        each = [stopping_power(name, self.beam_energy) for name in fractions]
        way = mass / np.cos(np.radians(geometry.tilt))
        return self.beam_energy - mean_over_mass(fractions, each) * way

    def _coating(self, geometry: Geometry) -> Array:
        """Return the optical depth of the coating for lines, then channels."""
        energy = np.concatenate([self.energy, self.channels])
        if not geometry.coating:
            return np.zeros(energy.size)
        fractions, mass = geometry.layer
        return mass * np.asarray(mass_absorption_coefficient(fractions, energy))


#: Models of equal settings are made again and again: they share one object.
bulk_emission = lru_cache(maxsize=16)(BulkEmission)


def initial_subshell(line: EmissionLine) -> str:
    """Return the subshell whose vacancy a line fills."""
    return "K" if line.family == "K" else line.transition[:2]
