"""What passed in which versions: the results that `nox` leaves, as a table.

Run after `nox` with

    python benchmarks/robustness/versions.py --write docs/trust.md
"""

import json
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.runner import ROOT, publish, run

RESULTS = ROOT / "build" / "versions"


def row(result: Path) -> dict[str, str]:
    """Return name, versions and outcome of a session."""
    found = {"session": result.stem, **json.loads(result.read_text())}
    suite = ElementTree.parse(result.with_suffix(".xml")).find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    found["passed"] = str(total - skipped - failed)
    found["failed"], found["skipped"] = str(failed), str(skipped)
    return found


def main(given):
    rows = [row(result) for result in sorted(RESULTS.glob("*.json"))]
    if rows:
        header, cells = tuple(rows[0]), [tuple(found.values()) for found in rows]
        publish(header, cells, given.write, "versions")
    elif not given.smoke:
        raise SystemExit(f"{RESULTS} is empty: run `nox` first.")


if __name__ == "__main__":
    run(main, __doc__, page=True)
