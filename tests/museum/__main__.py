"""`make museum`: replay the outages (all, or those named) and print the table. Exit code 1 if one is not as promised."""

import asyncio
import sys
import time

from tests.museum.outage import Outage
from tests.museum.run import FOLDERS, Row, outage, table, visit


def main(names: list[str]) -> int:
    began = time.monotonic()
    outages = sorted((outage(name) for name in names or FOLDERS), key=lambda one: one.number)
    rows = asyncio.run(visit(outages, _tell))
    sys.stdout.write(f"\n{table(rows)}\n\n{len(rows)} injections in {time.monotonic() - began:.0f} s\n")
    is_whole = len(rows) == sum(len(one.promises) for one in outages)
    return 1 if any(row.broken for row in rows) or not is_whole else 0


def _tell(one: Outage, rows: list[Row], problem: str) -> None:
    for row in rows:
        said = [f"{one.name} {one.date}: {row.promise.injected}", f"    {row.finding.said[:500]}"]
        said += [f"    NOT AS PROMISED: {problem}" for problem in row.broken]
        sys.stdout.write("\n".join([*said, ""]))
    word = "" if rows else "WENT WRONG: "
    sys.stdout.write(f"{one.name} {one.date}: {word}{problem[:4000]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
