"""Files that were saved before the package got its present folders open unchanged.

`data/decomposed_layout_2.hspy` was decomposed, calibrated and saved by the commit
7ae307b; the JSON file beside it holds what `quantify` gave then, and the text of the
result in the words of now.
"""

import json
from pathlib import Path

import hyperspy.api as hs
import numpy as np

FILE = Path(__file__).parent / "data" / "decomposed_layout_2.hspy"


def test_a_result_is_read_and_quantified_as_it_was():
    s = hs.load(FILE)
    expected = json.loads(FILE.with_suffix(".json").read_text())
    phases = s.quantify()
    np.testing.assert_array_equal([one.data for one in phases], expected["phases"])
    variance = [one.metadata.Signal.Noise_properties.variance.data for one in phases]
    np.testing.assert_allclose(variance, expected["variance"], rtol=1e-9, atol=1e-14)
    pixels = [one.data for one in s.quantify("pixels")[:2]]
    np.testing.assert_array_equal(pixels, expected["pixels"])
    assert str(s.analysis_results()) == expected["text"]


def test_a_fit_goes_on_from_it():
    s = hs.load(FILE)
    before = s.analysis_results()
    s.decomposition(algorithm="espm", init="previous", print_info=False)
    after = s.analysis_results()
    assert after.labels == before.labels  # names are kept
    np.testing.assert_allclose(after.composition, before.composition, atol=0.02)
    assert s.plot_phases().axes
