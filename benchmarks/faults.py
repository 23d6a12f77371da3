"""How many faults the tests inject, and how many corrupt files they try.

Run with

    python benchmarks/faults.py [--moments 8] [--write docs/trust.md]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from report import publish

TESTS = Path(__file__).parents[1] / "tests"
FILES = ("test_faults.py", "test_files.py")
HEADERS = {
    "faults": ("fault", "moments", "errors"),
    "files": ("corrupt files", "tried", "refused", "crashed the reader", "hung it"),
}


def counted(moments: int) -> dict[str, dict[str, list[int]]]:
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
                *(str(TESTS / one) for one in FILES),
            ],
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=8, help="of each sweep")
    parser.add_argument("--write", type=Path, help="page that gets the tables")
    arguments = parser.parse_args()
    for name, rows in counted(arguments.moments).items():
        cells = [(what, *map(str, numbers)) for what, numbers in rows.items()]
        publish(HEADERS[name], cells, arguments.write, name)


if __name__ == "__main__":
    main()
