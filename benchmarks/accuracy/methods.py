"""The programs that are compared, each from a signal to spectra and loadings.

All get the same counts over the same channels, and time is that of the processor: what
several threads spend is added up, and what else a machine is doing counts little.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.sparse import csr_array
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from espm_hs.decomposition.self_consistency import self_consistent_model
from espm_hs.physics import atomic_number

MAX_ITER = 1500
# Of espm: sparsity and smoothness of its paper, and no tolerance: with the 1e-6 of its
# notebooks it stops early. It still ends by itself when the objective rises.
ESPM_OPTIONS = {"mu": 0.004, "lambda_L": 1.0, "tol": 1e-12, "max_iter": MAX_ITER}
ESPM_ENVIRONMENT = "python -m venv espm-env; espm-env/bin/pip install espm==1.1.3"


@dataclass
class Found:
    """
    What a program returns.

    Attributes
    ----------
    spectra
        Shape (n_channels, n_phases).
    loadings
        Shape (n_pixels, n_phases); ``loadings @ spectra.T`` are the means of the
        counts.
    cpu
        Processor time, s.
    iterations
        Number of them.
    composition
        Symbol -> atomic fractions, shape (n_phases,).
    """

    spectra: np.ndarray
    loadings: np.ndarray
    cpu: float
    iterations: int
    composition: dict[str, np.ndarray] | None = None


def ours(signal, n_phases: int, **options) -> Found:
    """Decompose with the defaults of espm_hs, or options that differ."""
    start = time.process_time()
    found = signal.decomposition(
        algorithm="espm",
        output_dimension=n_phases,
        print_info=False,
        return_info=True,
        **options,
    )
    cpu = time.process_time() - start
    composition = dict(zip(found.elements, found.composition, strict=True))
    return Found(found.spectra, found.loadings, cpu, found.n_iter, composition)


def scikit_learn(signal, n_phases: int, max_iter: int = MAX_ITER) -> Found:
    """Factorise the sparse counts: at these counts several times faster than dense."""
    counts = csr_array(_unfolded(signal.data), dtype=float)
    nmf = NMF(
        n_phases,
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=max_iter,
        tol=0,
        random_state=0,
    )
    with threadpool_limits(1):
        start = time.process_time()
        loadings = nmf.fit_transform(counts)
        cpu = time.process_time() - start
    return Found(nmf.components_.T, loadings, cpu, nmf.n_iter_)


def hyperspy(signal, n_phases: int) -> Found:
    """Least squares on counts scaled for Poisson noise, as HyperSpy does it."""
    # eXSpy's own decomposition keeps to itself how many iterations there were
    dense = hs.signals.Signal1D(signal.data.astype(float))
    with threadpool_limits(1):
        start = time.process_time()
        nmf = dense.decomposition(
            normalize_poissonian_noise=True,
            algorithm="NMF",
            output_dimension=n_phases,
            random_state=0,
            return_info=True,
            print_info=False,
        )
        cpu = time.process_time() - start
    results = dense.learning_results
    return Found(results.factors, results.loadings, cpu, nmf.n_iter_)


def espm(python: str, own_matrix: bool = True) -> Callable[..., Found]:
    """
    Return espm 1.1.3 as a method.

    Parameters
    ----------
    python
        Interpreter of an environment that has espm.
    own_matrix
        Let espm build its G from the metadata, as its users do; else it gets that of
        espm_hs, absorbed by the composition of the summed spectrum.
    """

    def run(signal, n_phases: int) -> Found:
        settings = _espm_settings(signal, n_phases)
        arrays = {"counts": signal.data, "settings": json.dumps(settings)}
        sums = np.ones(len(settings["elements"]))
        if not own_matrix:
            # columns of sum 1, as the strengths of the priors suppose
            G = _settled_matrix(signal)
            arrays["G"], sums = G / G.sum(axis=0), G.sum(axis=0)[: sums.size]
        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder) / "counts.npz", Path(folder) / "result.npz"
            np.savez_compressed(source, **arrays)
            _run_peer(python, source, result)
            found = np.load(result)
            amounts = found["amounts"] / sums[:, None]
            fractions = amounts / amounts.sum(axis=0)
            return Found(
                found["spectra"],
                found["loadings"],
                float(found["cpu"]),
                int(found["iterations"]),
                dict(zip(found["elements"].tolist(), fractions, strict=True)),
            )

    return run


def _run_peer(python, source, result):
    """Run the script of espm on one thread, and show what it says if it fails."""
    script = Path(__file__).with_name("espm_peer.py")
    done = subprocess.run(
        [python, script, source, result],
        env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"espm failed under {python}:\n{done.stderr[-2000:]}\n"
            f"Make its environment with `{ESPM_ENVIRONMENT}`."
        )


def _espm_settings(signal, n_phases):
    """Return what a user of espm says about the sample."""
    model = signal.physical_model()
    return {
        "offset": float(model.energy[0]),
        "scale": float(model.energy[1] - model.energy[0]),
        "beam_energy": model.beam_energy,
        "take_off_angle": model.take_off_angle,
        "thickness": model.thickness,
        "density": model.density,
        "elements": {symbol: atomic_number(symbol) for symbol in model.elements},
        "stray_elements": list(model.stray_elements),
        "options": {"n_components": n_phases, **ESPM_OPTIONS},
    }


def _settled_matrix(signal):
    """Return the G of espm_hs, its first columns those of the elements."""
    model = signal.physical_model()
    spectrum = _unfolded(signal.data).sum(axis=0, dtype=float)
    return self_consistent_model(model, spectrum[model.channels], model.channels).G


def _unfolded(data):
    return data.reshape(-1, data.shape[-1])
