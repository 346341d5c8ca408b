#!/usr/bin/env python3
"""Checks that a query on one date reads only that date's files of a table.

    one_date.py --catalog PATH --data PATH --extensions DIR TABLE

For each date of the table, and for one that has no file: the number of files that EXPLAIN
ANALYZE says were read must be that of the files in the date's directory. Exits 1 otherwise.
"""

import argparse
import pathlib
import re
import sys

import compare


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--extensions", required=True)
    parser.add_argument("table")
    arguments = parser.parse_args()
    lake = compare.attach(arguments.catalog, arguments.data, arguments.extensions)
    directory = pathlib.Path(arguments.data, "main", arguments.table)
    files = {}
    for path in directory.glob("date=*/*.parquet"):
        files.setdefault(path.parent.name.removeprefix("date="), []).append(path)
    total = sum(map(len, files.values()))
    failed = not files
    for date in sorted(files) + ["2001-01-01"]:
        plan = "\n".join(
            row[1]
            for row in lake.execute(
                f"EXPLAIN ANALYZE SELECT count(payload) FROM homer_lake.{arguments.table} WHERE date = '{date}'"
            ).fetchall()
        )
        read = re.search(r"Total Files Read: (\d+)", plan)
        read = int(read[1]) if read else 0
        expected = len(files.get(date, []))
        print(f"{arguments.table} {date}: {read} files read of {total}, {expected} expected")
        failed |= read != expected
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
