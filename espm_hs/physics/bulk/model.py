"""The model of the spectrum of a bulk sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.arguments import plain_float
from espm_hs.physics.bulk.emission import (
    LAYER_KG_M2,
    SURE,
    BulkEmission,
    Doubt,
    Geometry,
    bulk_emission,
)
from espm_hs.physics.bulk.unknowns import bulk_unknowns
from espm_hs.physics.linear_model import Parameter, Unknowns, register_model
from espm_hs.physics.xray import arguments as checks
from espm_hs.physics.xray.absorption import Angles, material_data
from espm_hs.physics.xray.detector import Detector
from espm_hs.physics.xray.elements import (
    atomic_number,
    atomic_to_mass_fractions,
    atomic_weight,
)
from espm_hs.physics.xray.emission import Split
from espm_hs.physics.xray.model import SpectrumModel
from espm_hs.physics.xray.unknowns import (
    ANGLE,
    COATING,
    DETECTOR,
    USUAL_DENSITY,
    usual_density,
)

#: Largest tilt of the surface for which the depth distribution is meant, degrees.
LARGEST_TILT = 70.0
#: Relative error of the dose with which a standard is measured.
DOSE_ERROR = 0.01
#: Largest thickness of a coating, nm.
THICKEST_COATING = 500.0


@register_model("bulk")
class BulkModel(SpectrumModel):
    """A linear model of the spectra that a bulk sample of known elements can give.

    As `SpectrumModel`, of which it shares lines, detector and background. Instead of a
    film that absorbs, the sample is thicker than electrons reach: they are slowed down
    and scattered, and what they make at some depth is absorbed on its way out.

    Parameters
    ----------
    energy, elements, stray_elements, split_lines, detector, line_factors
        As in `SpectrumModel`, and so are the next ones.
    line_factor_errors, composition, minimum_energy, extra_spectra
        As there.
    background, background_bends
        As there; it has the shape that leaves the sample.
    beam_energy
        3 to 40 keV.
    take_off_angle
        Between the surface and the direction of the detector, degrees; needed. Several:
        one for each detector, of equal solid angles.
    tilt
        Between the beam and the normal of the surface, degrees, 0 to 70.
    coating
        Layer that makes the surface conduct, material and thickness in nm: ("C", 20) or
        "C 20 nm". It slows electrons down and absorbs; its lines are those of a stray
        element.
    unknown
        What is not stated, of "take_off_angle", "detector" and "coating": amounts are
        the mean over what is usual, see `espm_hs.physics.bulk.unknowns`.

    Raises
    ------
    ValueError, TypeError
        As `SpectrumModel`.

    Notes
    -----
    A line column is that of `SpectrumModel`, times what leaves the sample of the lines
    of an atom over what leaves a layer of 1 mg/cm2 that hangs free. With the electrons
    D that hit the sample and the solid angle Omega, the weight of an element column is
    (C / m) (Omega / 4 pi) D 1 mg/cm2, where C is the mass fraction of the element and m
    the mass of its atom: the sum of the masses does not depend on the composition.
    """

    BEAM_ENERGIES = (3.0, 40.0)
    UNKNOWN = (ANGLE, DETECTOR, COATING)
    # windowless detectors are rare in scanning microscopes
    USUAL_DETECTOR = "polymer_window"

    def __init__(
        self,
        energy: ArrayLike,
        beam_energy: float,
        elements: Iterable[str | int],
        *,
        stray_elements: Iterable[str | int] = (),
        split_lines: Mapping[str, Split] | None = None,
        detector: Detector | str | None = None,
        line_factors: Mapping[str, float] | None = None,
        line_factor_errors: Mapping[str, Sequence[float]] | None = None,
        take_off_angle: Angles | None = None,
        tilt: float = 0.0,
        coating: str | tuple[str, float] | None = None,
        unknown: Sequence[str] = (),
        composition: Mapping[str, float] | None = None,
        minimum_energy: float = 0.15,
        background: bool | str = True,
        background_bends: Sequence[float] = (),
        extra_spectra: Mapping[str, ArrayLike] | None = None,
    ):
        self.tilt = plain_float("tilt", tilt)
        self.coating = checked_coating(coating)
        super().__init__(
            energy,
            beam_energy,
            elements,
            stray_elements=stray_elements,
            split_lines=split_lines,
            detector=detector,
            line_factors=line_factors,
            line_factor_errors=line_factor_errors,
            take_off_angle=take_off_angle,
            unknown=unknown,
            composition=composition,
            minimum_energy=minimum_energy,
            background=background,
            background_bends=background_bends,
            extra_spectra=extra_spectra,
        )

    def _check(self) -> None:
        super()._check()
        if self.take_off_angle is None:
            raise ValueError(
                "X-rays of a bulk sample are absorbed on their way to the detector, "
                "and the model needs the take-off angle. Set the detector's angles "
                f"with {checks.POSITION}."
            )
        if not 0 <= self.tilt <= LARGEST_TILT:
            raise ValueError(
                "`tilt` is the angle between the beam and the normal of the surface, 0 "
                f"to {LARGEST_TILT:g} degrees; got {self.tilt:g}. Set it with "
                "`s.set_microscope_parameters(tilt_stage=...)`."
            )

    @property
    def is_bulk(self) -> bool:
        """Whether the model of a film is used for what seems to be a bulk sample."""
        return False

    @property
    def depends_on_composition(self) -> bool:
        """Whether G depends on the composition: always."""
        return True

    @property
    def geometry(self) -> Geometry:
        """How beam, sample and detectors stand to each other."""
        return Geometry(self.take_off_angle or 90.0, self.tilt, self.coating)

    @property
    def electron_range(self) -> float:
        """How far electrons come in the sample, µm.

        K. Kanaya and S. Okayama, J. Phys. D 5 (1972) 43, for the composition of the
        model and atoms of a usual volume.
        """
        mass = atomic_to_mass_fractions(self._absorbing)
        each = [
            (atomic_weight(name), atomic_number(name), share)
            for name, share in mass.items()
        ]
        amounts = np.array([self._absorbing.get(x, 0.0) for x in self.elements])
        density = usual_density(self, amounts) if amounts.any() else USUAL_DENSITY
        per_density = sum(share * a / z**0.89 for a, z, share in each)
        return float(0.0276 * per_density * self.beam_energy**1.67 / density)

    @property
    def bulk(self) -> BulkEmission:
        """What of the lines and the continuum leaves samples."""
        known = self._unabsorbed
        return bulk_emission(
            known.lines.emitted, tuple(known.fitted_energy), self.beam_energy
        )

    def emerging(
        self,
        composition: Mapping[str, float],
        amount: float = 1.0,
        geometry: Geometry | None = None,
        doubt: Doubt = SURE,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what leaves a sample, over what a layer of 1 mg/cm2 emits.

        Parameters
        ----------
        composition
            Atomic fractions of the sample by symbol, in any unit.
        amount
            Is not used: there is as much of the sample as electrons reach.
        geometry
            In place of that of the model.
        doubt
            How far the physics may be off.

        Returns
        -------
        tuple of two numpy.ndarray
            Of each line, 1 for stray ones; and the share of the continuum in each
            fitted channel.
        """
        lines, channels = self.bulk.emerging(
            composition, geometry or self.geometry, doubt
        )
        return np.where(self._unabsorbed.lines.absorbed, lines, 1.0), channels

    def column_factors(self, composition: np.ndarray, amount: np.ndarray) -> np.ndarray:
        """Return what the sums of the columns are multiplied with in many places.

        Parameters
        ----------
        composition
            Atomic fractions of `elements`, shape (n_places, n_elements).
        amount
            Is not used.

        Returns
        -------
        numpy.ndarray
            Shape (n_places, n_columns), the mean over the lines of a column.
        """
        known, places = (
            self._unabsorbed,
            np.unique(np.round(composition, 3), axis=0, return_inverse=True),
        )
        n = len(known.line_columns)
        whole = np.bincount(known.lines.column, known.lines.area, n)
        each = np.ones((len(places[0]), len(self.columns)))
        for row, one in zip(each, places[0].tolist(), strict=True):
            lines, _ = self.emerging(dict(zip(self.elements, one, strict=True)))
            made = np.bincount(known.lines.column, known.lines.area * lines, n)
            row[:n] = np.where(whole > 0, made / np.where(whole > 0, whole, 1.0), 1.0)
        return each[places[1].ravel()]

    def unknowns(self, amounts: np.ndarray) -> Unknowns:
        """Return how geometry, detector and the physics itself leave amounts open.

        Parameters
        ----------
        amounts
            Of the elements, shape (n_elements,), as a fit of this model found them.

        Returns
        -------
        Unknowns
            See `espm_hs.physics.bulk.unknowns`.
        """
        composition = dict(zip(self.elements, amounts.tolist(), strict=True))
        found = bulk_unknowns(self, composition, is_known=False)
        return self._of_columns(found, slice(0, amounts.size))

    def unknowns_of_columns(self) -> Unknowns:
        """Return the same of columns of lines, for a sample of known composition.

        What is not known of angles, coating, detector and physics is the same for a
        standard and for what is measured with it, and counts there. What is left is the
        dose.
        """
        factors = bulk_unknowns(self, self._absorbing, is_known=True).factors
        moved = np.full((1, factors.size), DOSE_ERROR)
        return Unknowns(("dose",), factors, moved)

    @staticmethod
    def _of_columns(found: Unknowns, which: slice) -> Unknowns:
        return Unknowns(found.names, found.factors[which], found.responses[:, which])

    @property
    def emitting_mass(self) -> float:
        """Mass thickness that the weights of the columns are of, kg/m2."""
        return LAYER_KG_M2

    @property
    def differs_locally(self) -> bool:
        """False: electrons and photons cross from pixel to pixel in bulk."""
        return False

    @property
    def parameters(self) -> dict[str, Parameter]:
        """What a spectrum may refine: energy scale and peak width."""
        found = super().parameters
        return {name: one for name, one in found.items() if name != "mass_thickness"}

    @property
    def advice(self) -> Mapping[str, str]:
        """What the user can do, by occasion; see `LinearModel`."""
        return _ADVICE

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings, flat lists and dicts, without what is not set."""
        plain = super().to_dict()
        if self.coating is not None:
            plain["coating"] = coating_text(self.coating)
        return plain


def checked_coating(coating: Any) -> tuple[str, float] | None:
    """Check the layer that makes a surface conduct.

    Parameters
    ----------
    coating
        Material and thickness in nm, or a text like "C 20 nm"; None or "" for none.

    Raises
    ------
    ValueError
        If it is neither, or the material is unknown.
    """
    if coating is None or (isinstance(coating, str) and not coating.strip()):
        return None
    parts = coating.split() if isinstance(coating, str) else coating
    try:
        material, thickness, *unit = parts
        found = str(material), float(thickness)
    except (TypeError, ValueError):
        found, unit = ("", -1.0), []
    if unit not in ([], ["nm"]) or not 0 < found[1] <= THICKEST_COATING:
        raise ValueError(
            "`coating` is a material and a thickness, above 0 up to "
            f"{THICKEST_COATING:g} nm, like 'C 20 nm' or ('Au', 10); got {coating!r}."
        )
    material_data(found[0])  # raises for what is unknown
    return found


def coating_text(coating: tuple[str, float]) -> str:
    """Return the text of a coating that every file format keeps."""
    return f"{coating[0]} {coating[1]!r} nm"


_ADVICE = MappingProxyType(
    {
        "unsettled": "Check the take-off angle and the elements of "
        "`s.set_elements([...])`: what is missing absorbs as well.",
    }
)
