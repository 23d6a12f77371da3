"""What passed in which versions: the results that `nox` leaves, as a table.

Run after `nox` with

    python benchmarks/versions.py --write docs/trust.md
"""

import argparse
import json
from pathlib import Path
from xml.etree import ElementTree

from report import publish

RESULTS = Path(__file__).parents[1] / "build" / "versions"


def row(result: Path) -> dict[str, str]:
    """Return name, versions and outcome of a session."""
    found = {"session": result.stem, **json.loads(result.read_text())}
    suite = ElementTree.parse(result.with_suffix(".xml")).find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    found["passed"] = str(total - skipped - failed)
    found["failed"], found["skipped"] = str(failed), str(skipped)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="page that gets the table")
    arguments = parser.parse_args()
    rows = [row(result) for result in sorted(RESULTS.glob("*.json"))]
    if not rows:
        raise SystemExit(f"{RESULTS} is empty: run `nox` first.")
    header, cells = tuple(rows[0]), [tuple(found.values()) for found in rows]
    publish(header, cells, arguments.write, "versions")


if __name__ == "__main__":
    main()
