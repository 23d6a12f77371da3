"""When espm is installed beside espm_hs: both call their signal type EDS_espm.

HyperSpy would take whichever class it read first. It does not import packages to find
out what they register, so this can only act once espm_hs is imported: by the user, by
HyperSpy when it opens a file that espm_hs wrote, or with one of its lazy signals.
"""

from __future__ import annotations

import warnings


def take_over_signal_type() -> None:
    """Make espm_hs alone stand for EDS_espm, and say so.

    Warns
    -----
    UserWarning
        If espm had registered the signal type, too.
    """
    from hyperspy.extensions import ALL_EXTENSIONS

    signals = ALL_EXTENSIONS["signals"]
    others = [
        name
        for name, entry in signals.items()
        if entry["signal_type"] == "EDS_espm"
        and entry["module"].partition(".")[0] == "espm"
    ]
    for name in others:
        del signals[name]
    if others:
        warnings.warn(
            "espm and espm_hs are both installed, and both call their signal type "
            "'EDS_espm'. From now on it is that of espm_hs, in this session. Signals "
            "made before keep their class: s.set_signal_type('EDS_espm') turns them "
            "into espm_hs's. Uninstall one of the packages to end this message; "
            "docs/migration.md says what replaces each call of espm.",
            stacklevel=2,
        )
