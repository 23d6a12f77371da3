"""espm 1.1.3 on counts from a file, to be run by the Python of its own environment.

The settings are text in JSON, stored in the file beside the counts; `methods.py` writes
them. The model is the one espm builds from the metadata, unless the file brings a G.

    python espm_peer.py counts.npz result.npz
"""

import json
import sys
import time

import hyperspy.api as hs
import numpy as np
from espm.estimators import SmoothNMF


def build_signal(counts, settings):
    """Return the map as espm wants it: floats, centimetres, its own metadata."""
    signal = hs.signals.Signal1D(counts.astype(float))
    axis = signal.axes_manager.signal_axes[0]
    axis.name, axis.units = "Energy", "keV"
    axis.offset, axis.scale = settings["offset"], settings["scale"]
    signal.set_signal_type("EDS_espm")
    signal.set_microscope_parameters(
        beam_energy=settings["beam_energy"],
        elevation_angle=settings["take_off_angle"],
        azimuth_angle=0.0,
        tilt_stage=0.0,
    )
    signal.set_elements(list(settings["elements"]))
    signal.set_analysis_parameters(
        thickness=1e-7 * settings["thickness"],
        density=settings["density"],
        xray_db=f"{settings['beam_energy']:.0f}keV_xrays.json",
    )
    return signal


def known_matrix(signal, settings):
    """Return espm's model, and the elements that the first rows of its W stand for."""
    signal.build_G(ignored_elements=settings["stray_elements"])
    symbols = {str(number): symbol for symbol, number in settings["elements"].items()}
    return signal.model, [symbols[z] for z in signal.model.get_elements(False)]


def main():
    source, destination = sys.argv[1:]
    stored = np.load(source)
    settings, counts = json.loads(str(stored["settings"])), stored["counts"]
    signal = build_signal(counts, settings)
    start = time.process_time()
    if "G" in stored:
        G, elements = stored["G"], list(settings["elements"])
    else:
        G, elements = known_matrix(signal, settings)
    # the strengths of the priors are meant for data of that scale
    estimator = SmoothNMF(
        G=G, shape_2d=counts.shape[:2], normalize=True, verbose=0, **settings["options"]
    )
    estimator.fit_transform(signal.data.reshape(-1, counts.shape[-1]).T)
    np.savez(
        destination,
        cpu=time.process_time() - start,
        iterations=estimator.n_iter_,
        spectra=estimator.G_ @ estimator.W_,
        loadings=estimator.H_.T,
        amounts=estimator.W_[: len(elements)],
        elements=elements,
    )


if __name__ == "__main__":
    main()
