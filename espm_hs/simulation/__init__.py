"""Simulated spectrum images: abundance maps, X-ray physics, Poisson noise."""

from espm_hs.simulation.comparison import match_phases, spectral_angles
from espm_hs.simulation.datasets import GroundTruth, ground_truth, particles
from espm_hs.simulation.forward import Simulation, phase_spectra, simulate_counts
from espm_hs.simulation.phantoms import Sphere, spheres_in_matrix

__all__ = [
    "GroundTruth",
    "Simulation",
    "Sphere",
    "ground_truth",
    "match_phases",
    "particles",
    "phase_spectra",
    "simulate_counts",
    "spectral_angles",
    "spheres_in_matrix",
]
