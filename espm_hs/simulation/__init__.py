"""Simulated spectrum images: samples, X-ray physics, effects, Poisson noise."""

from espm_hs.simulation import phantoms
from espm_hs.simulation.datasets import (
    DATASETS,
    core_shell,
    experiment,
    grain_boundary,
    mantle,
    particles,
    polished_section,
)
from espm_hs.simulation.effects import Effects
from espm_hs.simulation.emission import Phase
from espm_hs.simulation.experiment import Experiment
from espm_hs.simulation.recording import GroundTruth, ground_truth, record

__all__ = [
    "DATASETS",
    "Effects",
    "Experiment",
    "GroundTruth",
    "Phase",
    "core_shell",
    "experiment",
    "grain_boundary",
    "ground_truth",
    "mantle",
    "particles",
    "phantoms",
    "polished_section",
    "record",
]
