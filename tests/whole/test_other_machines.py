"""Another processor gives the same answer, to the tolerance of the fit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_map

TESTS = Path(__file__).parents[1]
TOL = 1e-4


def decompose(path):
    """Find phases by Newton's method alone, and keep what was found."""
    s = make_map(shape=(16, 16))
    s.decomposition(
        algorithm="espm",
        output_dimension=3,
        solver="newton",
        sparsity=0,
        smoothness=0,
        tol=TOL,
        n_init=1,
        separation=False,
        print_info=False,
        show_progressbar=False,
    )
    found, amounts = s.analysis_results(), s.quantify()
    np.savez(
        path,
        F=found.objective,
        percent=[one.data for one in amounts],
        variance=[
            one.metadata.Signal.Noise_properties.variance.data for one in amounts
        ],
        n_free=found.composition.size,  # those of Newton's method
        counts=s.data,
    )


@pytest.mark.skipif(
    "NUMBA_CPU_NAME" in os.environ, reason="there is nothing else to compare with"
)
def test_the_least_processor_of_its_kind(tmp_path):
    decompose(tmp_path / "here.npz")
    path = tmp_path / "there.npz"
    code = f"import {__name__} as t; t.decompose(r'{path}')"
    folders = [str(TESTS), str(TESTS / "whole"), str(TESTS.parent)]
    variables = {
        "NUMBA_CPU_NAME": "generic",
        "PYTHONPATH": os.pathsep.join(folders),
        # compiled for another processor, and kept apart
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    subprocess.run(command, env=os.environ | variables, check=True)
    with np.load(tmp_path / "here.npz") as here, np.load(path) as there:
        # what is drawn and not fitted
        np.testing.assert_array_equal(here["counts"], there["counts"])
        # both ended when F could fall by no more than this
        most = TOL * float(here["n_free"])
        assert abs(here["F"] - there["F"]) <= most
        # near a minimum F is half of the square of standard errors, in all numbers
        # together: in any one of them each was no farther from it than sqrt(2 most)
        away = (here["percent"] - there["percent"]) / np.sqrt(here["variance"])
        assert np.nanmax(np.abs(away)) <= 2 * np.sqrt(2 * most)
