"""
The factorisation alone
=======================

`EspmNMF` is an estimator of scikit-learn, for any table of counts and any known
matrix.
"""

import matplotlib.pyplot as plt
import numpy as np

from espm_hs import EspmNMF

# %%
# Counts of 40 x 40 pixels, mixtures of three spectra of Gaussian peaks whose places
# are known and whose heights are not:

rng = np.random.default_rng(0)
channel = np.arange(200)
peaks = np.exp(-0.5 * ((channel[:, None] - np.arange(10, 200, 20)) / 5) ** 2)
heights = rng.random((10, 3)) ** 4
abundances = 20 * rng.dirichlet(np.full(3, 0.3), 1600)
X = rng.poisson(abundances @ (peaks @ heights).T / 5)

plain = EspmNMF(n_components=3, random_state=0).fit(X)
known = EspmNMF(n_components=3, G=peaks, random_state=0).fit(X)

# %%
# Spectra that must be sums of known peaks hold none of the noise:

figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for axis, nmf, title in zip(axes, (plain, known), ("no G", "known G"), strict=True):
    spectra = nmf.components_ / nmf.components_.sum(axis=1, keepdims=True)
    axis.plot(channel, spectra.T)
    axis.set(title=title, xlabel="channel")
axes[0].set_ylabel("share of the counts")
