"""How many faults the tests inject, and how many corrupt files they try.

Run with

    python benchmarks/robustness/faults.py [--moments 8] [--write docs/trust.md]
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.runner import ROOT, argument, publish, run

FILES = ("tests/whole/test_faults.py", "tests/cli/test_files.py")
HEADERS = {
    "faults": ("fault", "moments", "errors"),
    "files": ("corrupt files", "tried", "refused", "crashed the reader", "hung it"),
}


def counted(moments: int, smoke: bool = False) -> dict[str, dict[str, list[int]]]:
    """Run the tests; return for each table and each kind of fault the numbers."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "record")
        settings = {"ESPM_HS_MOMENTS": str(moments), "ESPM_HS_RECORD": str(record)}
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                # signals of the system come at random, and count, too
                *("-m", "not slow"),
                *(FILES[:1] if smoke else FILES),
                *(("-k", "what_only_reads") if smoke else ()),
            ],
            cwd=ROOT,
            env=os.environ | settings,
            check=True,
        )
        lines = record.read_text(encoding="utf-8").splitlines()
    tables: dict = {name: defaultdict(lambda: [0] * 9) for name in HEADERS}
    for line in lines:
        name, what, *numbers = json.loads(line)
        before = tables[name][what]
        tables[name][what] = [a + b for a, b in zip(before, numbers, strict=False)]
    return tables


def main(given):
    for name, rows in counted(given.moments, given.smoke).items():
        cells = [(what, *map(str, numbers)) for what, numbers in rows.items()]
        publish(HEADERS[name], cells, given.write, name)


if __name__ == "__main__":
    moments = argument("--moments", type=int, default=8, smoke=2, help="of each sweep")
    run(main, __doc__, moments, page=True)
