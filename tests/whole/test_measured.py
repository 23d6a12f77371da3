"""Measured spectra: what the package is for.

The maps are read from the folder named by ESPM_HS_TEST_DATA; the FePt spectrum comes
with eXSpy.
"""

import os
from pathlib import Path

import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from conftest import FORMATS

from espm_hs.signals import EDSespmSpectrum

FOLDER = os.environ.get("ESPM_HS_TEST_DATA")
needs_maps = pytest.mark.skipif(not FOLDER, reason="ESPM_HS_TEST_DATA is not set")


def load_map(name):
    """Spectrum image of a file that may hold other signals, too."""
    found = hs.load(Path(FOLDER) / name)
    found = found if isinstance(found, list) else [found]
    maps = [
        s
        for s in found
        if s.axes_manager.navigation_dimension == 2
        and s.axes_manager.signal_dimension == 1
    ]
    assert len(maps) == 1
    maps[0].set_signal_type("EDS_espm")
    return maps[0]


def angle(a, b):
    """Angle in degrees between two spectra, in the channels where both are known."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known].astype(float)
    return np.degrees(np.arccos(a @ b / np.sqrt((a @ a) * (b @ b))))


@needs_maps
def test_mantle_minerals():
    """Ferropericlase and bridgmanite, as in the pure regions of the map."""
    s = load_map("mantle_minerals_80x80.hspy")
    s.set_elements(["Al", "Ca", "Fe", "Hf", "Lu", "Mg", "Nd", "Si", "Sm", "U"])
    s.set_analysis_parameters(stray_elements=["Cu", "Ga", "Mo"])
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)
    factors = s.learning_results.factors
    percent = {q.metadata.Sample.elements[0]: q.data for q in s.quantify()}

    pure = s.data[36:48, 22:46].sum(axis=(0, 1))
    angles = [angle(factors[:, j], pure) for j in range(3)]
    j = int(np.argmin(angles))
    assert angles[j] < 5
    silicon = percent["Si"][j] / sum(percent[e][j] for e in ("Mg", "Fe", "Si"))
    assert silicon < 0.05

    pure = s.data[60:80, 0:40].sum(axis=(0, 1))
    angles = [angle(factors[:, j], pure) for j in range(3)]
    j = int(np.argmin(angles))
    assert angles[j] < 5
    assert 0.8 < percent["Mg"][j] / percent["Si"][j] < 1.4


@needs_maps
@pytest.mark.parametrize("name", ["velox_si_16x16.emd", "bruker_tem_64x64.bcf"])
@pytest.mark.parametrize("extension", FORMATS)
def test_vendor_files_without_preparation(name, extension, tmp_path):
    s = load_map(name)
    s.decomposition(algorithm="espm", output_dimension=2, print_info=False)
    s.save(tmp_path / f"map.{extension}")
    loaded = hs.load(tmp_path / f"map.{extension}")
    assert type(loaded) is EDSespmSpectrum
    for target in ("phases", "pixels"):
        for a, b in zip(s.quantify(target), loaded.quantify(target), strict=True):
            assert a.metadata.General.title == b.metadata.General.title
            np.testing.assert_array_equal(a.data, b.data)


def test_fept_nanoparticles():
    """Fe/(Fe+Pt) of the literature is 0.14-0.16; uncalibrated we read up to 0.17."""
    s = exspy.data.EDS_TEM_FePt_nanoparticles()
    s.set_signal_type("EDS_espm")
    s.set_analysis_parameters(stray_elements=["Cu", "C", "O", "Si"])
    s.decomposition(algorithm="espm", output_dimension=1, print_info=False)
    iron, platinum = s.quantify()
    assert iron.metadata.Sample.elements == ["Fe"]
    assert 14 < iron.data[0] < 17.5
    assert iron.data[0] + platinum.data[0] == pytest.approx(100)
    error = iron.metadata.Signal.Noise_properties.variance.data[0] ** 0.5
    assert 0.05 < error < 1
