"""A paragraph of methods for a paper: what was done, with versions and references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.physics import SpectrumModel

_METHOD = (
    "A. Teurtrie et al., From STEM-EDXS data to phase separation and quantification "
    "using physics-guided NMF, Mach. Learn.: Sci. Technol. 5 (2024), "
    "doi:10.1088/2632-2153/ad9192"
)
_IONISATION = (
    "D. Bote et al., Cross sections for ionization of K, L and M shells of atoms by "
    "impact of electrons and positrons with energies up to 1 GeV, At. Data Nucl. Data "
    "Tables 95 (2009) 871, doi:10.1016/j.adt.2009.08.001"
)
_XRAYLIB = (
    "T. Schoonjans et al., The xraylib library for X-ray-matter interactions, "
    "Spectrochim. Acta B 66 (2011) 776, doi:10.1016/j.sab.2011.09.011"
)


class Measurement(NamedTuple):
    """What a result does not know of the map that it is from.

    Attributes
    ----------
    shape
        Of the map, as text.
    counts_per_pixel
        Mean.
    n_pixels
        That have spectra.
    """

    shape: str
    counts_per_pixel: float
    n_pixels: int


def methods_text(
    analysis: PhaseAnalysis,
    measured: Measurement,
    versions: Mapping[str, str],
    options: Mapping[str, Any],
) -> str:
    """Say how the phases were found, in whole sentences, and cite whose work that is.

    Parameters
    ----------
    analysis
        Result of a decomposition.
    measured
        The map.
    versions, options
        Of the packages and of the decomposition, as they were stored.
    """
    references = [_METHOD]
    sentences = [_about_fit(analysis, measured, versions)]
    if isinstance(model := analysis.model, SpectrumModel):
        sentences += _about_model(model)
        references += [_IONISATION, _XRAYLIB]
    sentences += _about_search(analysis, options)
    cited = "\n".join(f"[{n}] {text}." for n, text in enumerate(references, 1))
    return f"{' '.join(sentences)}\n\n{cited}\n"


def _about_fit(
    analysis: PhaseAnalysis, measured: Measurement, versions: Mapping[str, str]
) -> str:
    others = [f"{name} {x}" for name, x in versions.items() if name != "espm-hs"]
    return (
        f"The spectrum image ({measured.shape}; {measured.n_pixels} pixels, "
        f"{measured.counts_per_pixel:.3g} counts per pixel) was decomposed into "
        f"{analysis.n_phases} phases by physics-guided Poisson non-negative matrix "
        f"factorisation [1] with espm_hs {versions.get('espm-hs', '(?)')} "
        f"({', '.join(others)})."
    )


def _about_model(model: SpectrumModel) -> list[str]:
    used = model.energy[model.channels]
    lines = (
        f"Spectra were modelled from {used.min():.3g} to {used.max():.3g} keV, for a "
        f"beam energy of {model.beam_energy:g} keV, as the characteristic X-rays of "
        f"{_listed(model.elements)}"
    )
    if model.stray_elements:
        lines += (
            f", of {_listed(model.stray_elements)} as system or spurious elements, "
            "which were not quantified,"
        )
    sentences = [
        f"{lines} and bremsstrahlung. Emission was computed from the ionisation cross "
        "sections of Bote et al. [2] and, with corrections, from fluorescence yields, "
        "radiative rates and mass absorption coefficients of xraylib [3]; the width of "
        f"peaks at Mn Kα is {model.detector.resolution:.4g} eV."
    ]
    angle = model.take_off_angle
    if model.thickness and model.density and angle is not None:
        angles = angle if isinstance(angle, tuple) else (angle,)
        shown = _listed([f"{x:.3g}°" for x in angles])
        film = f"{model.thickness:.4g} nm and {model.density:.3g} g/cm3"
        sentences.append(
            f"Self-absorption by the composition of each phase was corrected for in a "
            f"film of {film}, at a take-off angle of {shown}."
        )
    else:
        sentences.append("Self-absorption was not corrected for.")
    if model.line_factors:
        factors = [f"{name} {x:.3g}" for name, x in sorted(model.line_factors.items())]
        sentences.append(f"Factors on line emission were {_listed(factors)}.")
    return sentences


def _about_search(analysis: PhaseAnalysis, options: Mapping[str, Any]) -> list[str]:
    names = {"sparsity": analysis.sparsity, "binning": analysis.binning}
    chosen = [
        f"{name} {'chosen by the data, ' if options.get(name) == 'auto' else ''}{x:.3g}"
        for name, x in names.items()
    ]
    if analysis.smoothness.any():
        chosen.append(f"smoothness of the maps {analysis.smoothness_text}")
    end = "converged" if analysis.converged else "stopped before convergence"
    starts = "start" if analysis.n_starts == 1 else "starts"
    sentences = [
        f"Of {analysis.n_starts} {starts}, {analysis.n_agreeing} ended in the result "
        f"({', '.join(chosen)}; random state {options.get('random_state', 'unknown')}),"
        f" which {end} after {analysis.n_iter} iterations with a deviance ratio of the "
        f"summed spectrum of {analysis.misfit:.3g}."
    ]
    known = [name for name in analysis.knowledge.names if name]
    if options.get("known_phases") is not None:
        sentences.append(f"Known beforehand was: {options['known_phases']}.")
    elif known and not analysis.edits:
        sentences.append(f"The phases were named {_listed(known)}.")
    if analysis.edits:
        done = "; ".join(analysis.edits)
        sentences.append(f"The result was then edited by hand: {done}.")
    sentences.append(
        "Errors are one standard deviation and combine counting statistics, bias, the "
        "uncertainty of atomic data, and that of absorption and detector. Percent of "
        "oxides and atoms per formula unit take oxygen by stoichiometry."
    )
    return sentences


def _listed(words: Sequence[Any]) -> str:
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last
