"""What the examples in docstrings may use."""

from functools import cache

import pytest


@pytest.fixture(autouse=True)
def names_in_examples(request):
    """Give examples of the signal classes a small map with phases as ``s``.

    What they write goes to a folder that is removed.
    """
    if request.node.__class__.__name__ == "DoctestItem":
        request.getfixturevalue("monkeypatch").chdir(
            request.getfixturevalue("tmp_path")
        )
        request.getfixturevalue("doctest_namespace")["s"] = decomposed().deepcopy()


@cache
def decomposed():
    """Return a map in which phases were found."""
    from espm_hs.simulation import particles

    s = particles((24, 24))
    quiet = {"print_info": False, "show_progressbar": False}
    s.decomposition(algorithm="espm", output_dimension=3, **quiet)
    return s
