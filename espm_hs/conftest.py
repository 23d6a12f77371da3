"""What the examples in docstrings may use."""

import pytest


@pytest.fixture(autouse=True)
def names_in_examples(request):
    """Give examples of the signal classes a small map as ``s``."""
    if request.node.__class__.__name__ == "DoctestItem":
        from espm_hs.simulation import particles

        request.getfixturevalue("doctest_namespace")["s"] = particles((24, 24))
