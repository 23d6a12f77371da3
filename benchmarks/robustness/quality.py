"""What is worth watching beside tests: imports, sizes, coverage, of this state.

Run it, after `make coverage`, with

    python benchmarks/robustness/quality.py [--json build/quality/quality.json]

`make quality` does, and keeps what the smoke runs of the benchmarks print beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.robustness.structure import code_lines, modules
from benchmarks.runner import ROOT, argument, publish, run

COVERAGE = ROOT / "build" / "quality" / "coverage.json"
# CPU seconds of a process of its own, the shortest of three.
IMPORT = """
import sys, time
begun = time.process_time()
__import__(sys.argv[1])
print(time.process_time() - begun)
"""


def import_time(module: str, repeats: int) -> float:
    """Return the CPU seconds that an import takes, the shortest of several."""
    command = [sys.executable, "-W", "ignore", "-c", IMPORT, module]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return min(
        float(subprocess.check_output(command, env=environment)) for _ in range(repeats)
    )


def wheel_size() -> float:
    """Return the size of the wheel of this state, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["uv", "build", "--wheel", "-q", "-o", folder, str(ROOT)]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(command, check=True, env=os.environ | {"PATH": path})
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.stat().st_size / 1e6


def coverage() -> dict[str, float]:
    """Return shares of lines and branches that tests reach, where they were counted."""
    if not COVERAGE.exists():
        return {}
    totals = json.loads(COVERAGE.read_text())["totals"]
    branches = 100 * totals["covered_branches"] / totals["num_branches"]
    lines = 100 * totals["covered_lines"] / totals["num_statements"]
    return {"lines covered (%)": lines, "branches covered (%)": branches}


def main(given):
    repeats = 1 if given.smoke else 3
    found = {
        f"import {module} (CPU s)": import_time(module, repeats)
        for module in ("espm_hs", "espm_hs.cli", "espm_hs.signals")
    }
    found["modules"] = len(modules())
    found["lines of code"] = sum(
        code_lines(path.read_text(encoding="utf-8")) for path in modules()
    )
    found |= {} if given.smoke else {"wheel (MB)": wheel_size()}
    found |= coverage()
    rows = [
        (name, f"{value:.4g}" if value < 1000 else value)
        for name, value in found.items()
    ]
    publish(("", ""), rows)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    run(main, __doc__, argument("--json", type=Path, help="file that gets the figures"))
