"""Numbers that a report hands to browsers: what they are, and that they are in it."""

import base64
import io
import json
import shutil
import subprocess
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from espm_hs.cli import html_report, report_data
from espm_hs.simulation import particles

QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}


@pytest.fixture(scope="module")
def decomposed():
    """Map of two phases with pixels that were left out; not to be changed."""
    s = particles((14, 18), counts_per_pixel=100)
    mask = np.zeros((18, 14), bool)
    mask[:3, :2] = True
    options = {"output_dimension": 2, "n_init": 1, "navigation_mask": mask}
    s.decomposition(**options, **QUIET)
    return s


def curves(text):
    """Energies and curves by name."""
    data = json.loads(text)
    found = {one["name"]: np.array(one["values"], float) for one in data["series"]}
    n = len(next(iter(found.values())))
    return data["first"] + data["step"] * np.arange(n), found, data


def test_the_fit_adds_up(decomposed):
    energy, found, data = curves(report_data.fit_data(decomposed))
    used = ~np.isnan(decomposed.learning_results.loadings[:, 0])
    counts = decomposed.data.reshape(-1, 1024)[used].sum(axis=0)
    axis = decomposed.axes_manager[-1].axis
    first = int(np.argmin(np.abs(axis - energy[0])))
    np.testing.assert_allclose(energy, axis[first : first + energy.size], atol=1e-9)
    np.testing.assert_array_equal(found["data"], counts[first : first + energy.size])
    model = found.pop("model")
    del found["data"]
    assert list(found) == ["O", "Mg", "Si", "Ti", "Fe", "Ni", "Cu", "background"]
    # rounded to four digits
    np.testing.assert_allclose(sum(found.values()), model, rtol=2e-3, atol=1e-3)
    lines = {name: x for x, name, _ in data["lines"]}
    assert lines["Fe Kα"] == pytest.approx(6.404, abs=0.002)
    low, high = data["shown"]
    assert low == energy[0] < high < energy[-1]


def test_spectra_of_the_phases(decomposed):
    _, found, data = curves(report_data.phases_data(decomposed))
    assert list(found) == ["phase 0", "phase 1"]
    for values in found.values():
        assert values.sum() == pytest.approx(1, abs=1e-3)
    names = [name for _, name, _ in data["lines"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("most", [10**6, 14 * 18 * 2 // 4])
def test_maps_hold_the_values(decomposed, monkeypatch, most):
    monkeypatch.setattr(report_data, "_MOST_PIXELS", most)
    data = json.loads(report_data.phase_maps_data(decomposed))
    bin_ = data["bin"]
    assert bin_ == (1 if most > 1000 else 2)
    assert (data["height"], data["width"]) == (14 // bin_, 18 // bin_)
    assert (data["steps"], data["units"]) == ([2.0, 2.0], "nm")
    assert len(data["colours"]) == 256
    found = decomposed.analysis_results()
    counts = decomposed.learning_results.loadings * np.nansum(found.spectra, axis=0)
    for one, values in zip(data["maps"], counts.T, strict=True):
        png = base64.b64decode(one["image"].split(",")[1])
        levels = np.asarray(Image.open(io.BytesIO(png))).astype(float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            wanted = values.reshape(14 // bin_, bin_, 18 // bin_, bin_)
            wanted = np.nanmean(wanted, axis=(1, 3))
        np.testing.assert_array_equal(levels == 0, np.isnan(wanted))
        read = np.where(levels > 0, one["highest"] * (levels - 1) / 254, np.nan)
        np.testing.assert_allclose(read, wanted, atol=one["highest"] / 254)


def test_lines_and_single_spectra_have_no_maps(decomposed):
    line = decomposed.inav[:, 7]
    line.decomposition(output_dimension=1, **QUIET)
    one = decomposed.sum()
    one.decomposition(output_dimension=1, **QUIET)
    for s in (line, one):
        assert report_data.phase_maps_data(s) is None
        assert report_data.composition_data(s) is None
        assert json.loads(report_data.fit_data(s))["series"]


class _Attributes(HTMLParser):
    """Values of the attributes that a script of the page reads."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [(name, x) for name, x in attrs if name.startswith("data-")]


def test_page_has_them_where_its_script_looks(decomposed, tmp_path):
    path = tmp_path / "report.html"
    html_report.write_report(decomposed, path, "map.hspy")
    text = path.read_text(encoding="utf-8")
    found = _Attributes(text).found
    spectra = [json.loads(x)["label"] for name, x in found if name == "data-spectra"]
    assert spectra == ["share of counts", "counts"]
    maps = [json.loads(x)["label"] for name, x in found if name == "data-maps"]
    assert maps == ["counts", "at.%"]
    # for those who have no script, and for printing
    assert text.count("<img ") == 5
    assert "http" not in html_report.script()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_script_is_valid(tmp_path):
    path = tmp_path / "report.js"
    path.write_text(html_report.script(), encoding="utf-8")
    subprocess.run(["node", "--check", path], check=True)
