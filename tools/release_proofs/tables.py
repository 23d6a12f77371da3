"""The extra "tables": other tables of lines, beside ours."""

import fisx
import xraydb

from espm_hs.physics import emission_lines

ours = {one.name: one.energy for one in emission_lines("Fe", 200)}
theirs = xraydb.xray_lines("Fe")["Ka1"].energy / 1000
assert abs(min(ours.values(), key=lambda energy: abs(energy - theirs)) - theirs) < 0.01
print(f"Fe Ka1 {theirs:.3f} keV in xraydb, fisx {fisx.__version__}")
