#!/usr/bin/env python3
"""Holds every row of a lake against an independent reading of the captures that were sent.

    compare.py --catalog PATH --data PATH --extensions DIR CAPTURE…

Needs the Python package duckdb==1.5.5 and, below DIR, the official extensions as
v1.5.5/<platform>/{ducklake,sqlite_scanner}.duckdb_extension. The catalog is attached
read-only by DuckDB alone: nothing of Heplake takes part. A capture that was sent several
times is named several times. The lake must hold these rows and no others.

Rows are compared as multisets, column by column, and data_extra key by key. Beyond that:
columns have the names, order and types of the storage layout; uuids are of version 7 and
distinct over all tables; date is the date of timestamp; where the packet has no time, the
row's lies within the last day; credentials are masked.

Exits 1 on any difference, after printing an example of each kind, field by field.
"""

import argparse
import collections
import datetime
import json
import os
import re
import sys
import time

import duckdb
import read

FAULTS_SHOWN = 5
KINDS_SHOWN = 20
PAIRED = 1000  # a table; finding pairs is quadratic
DAY = 86_400_000_000
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--catalog", required=True, help="the SQLite file of the DuckLake catalog")
    parser.add_argument("--data", required=True, help="the lake's data path")
    parser.add_argument("--extensions", required=True, help="DuckDB's extension directory")
    parser.add_argument("captures", nargs="+", metavar="CAPTURE")
    arguments = parser.parse_args()

    expected = collections.defaultdict(list)
    readings = {path: read.rows(path) for path in set(arguments.captures)}
    for path in arguments.captures:
        for row in readings[path]:
            cells = {name: row[name] for name in row if name not in ("packet", "table")}
            expected[row["table"]].append(cells | {"origin": f"{os.path.basename(path)} packet {row['packet']}"})

    lake = attach(arguments.catalog, arguments.data, arguments.extensions)
    faults = []
    found = {table: table_rows(lake, table, faults) for table in hep_tables(lake)}
    check_uuids(found, faults)

    differences = []
    print(f"{len(arguments.captures)} captures sent, {sum(map(len, expected.values()))} rows expected")
    print(f"{'table':<28}{'expected':>10}{'found':>10}{'equal':>10}")
    for table in sorted(expected | found):
        missing, extra = difference(expected.get(table, []), found.get(table, []))
        equal = len(expected.get(table, [])) - len(missing)
        verdict = "" if not missing and not extra else "  DIFFERENT"
        print(f"{table:<28}{len(expected.get(table, [])):>10}{len(found.get(table, [])):>10}{equal:>10}{verdict}")
        differences += [(table, *pair) for pair in paired(missing, extra)]

    for fault in faults[:FAULTS_SHOWN]:
        print(f"\n{fault}")
    # One example of each kind of difference: many rows differ by one cause.
    kinds = collections.defaultdict(list)
    for table, missing, extra in differences:
        kinds[(table, *differing(missing, extra))].append((missing, extra))
    for (table, *_), pairs in list(kinds.items())[:KINDS_SHOWN]:
        print(f"\n{table}, {len(pairs)} of this kind: {explain(*pairs[0])}")
    if len(faults) > FAULTS_SHOWN or len(kinds) > KINDS_SHOWN:
        print(f"\n… of {len(faults)} faults and {len(kinds)} kinds of difference")
    sys.exit(1 if faults or differences else 0)


# The lake


def attach(catalog, data, extensions):
    for path in (catalog, data, extensions):
        if not os.path.exists(path):
            sys.exit(f"{path} does not exist")
    settings = {"extension_directory": extensions, "autoinstall_known_extensions": "false"}
    lake = duckdb.connect(config=settings)
    lake.execute("LOAD sqlite_scanner")
    lake.execute("LOAD ducklake")
    data = os.path.join(data, "")
    lake.execute(f"ATTACH {quoted('ducklake:sqlite:' + catalog)} AS homer_lake (DATA_PATH {quoted(data)}, READ_ONLY)")
    return lake


def quoted(word):
    return "'" + word.replace("'", "''") + "'"


def hep_tables(lake):
    return [
        name
        for (name,) in lake.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'homer_lake' "
            "AND schema_name = 'main' AND starts_with(table_name, 'hep_') ORDER BY table_name"
        ).fetchall()
    ]


def table_rows(lake, table, faults):
    """All rows as the reader gives them, plus "uuid". A fault for each wrong column or date."""
    described = {
        name: kind
        for name, kind in lake.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'homer_lake' "
            f"AND schema_name = 'main' AND table_name = {quoted(table)} ORDER BY column_index"
        ).fetchall()
    }
    layout = read.columns(table) if table.startswith("hep_proto_") else described
    if list(described.items()) != list(layout.items()):
        faults.append(f"{table}: columns are\n  {described}\nand should be\n  {layout}")
    fields = [f'"{name}"' if name != "timestamp" else "epoch_us(timestamp) AS timestamp" for name in described]
    cursor = lake.execute(f"SELECT {', '.join(fields)} FROM homer_lake.main.{table}")
    result = []
    for values in cursor.fetchall():
        row = dict(zip(described, values))
        if {"date", "timestamp"} <= row.keys():
            day = row.pop("date")
            if day != date_of(row["timestamp"]):
                faults.append(f"{table}: uuid {row.get('uuid')} has date {day} and timestamp {row['timestamp']}")
        if "data_extra" in row:
            row["data_extra"] = parsed(row["data_extra"], f"{table}: uuid {row.get('uuid')}", faults)
        result.append(row)
    return result


def date_of(timestamp):
    """The date, in UTC, of a time in µs since 1970."""
    return None if timestamp is None else datetime.date(1970, 1, 1) + datetime.timedelta(microseconds=timestamp)


def parsed(document, where, faults):
    def members(pairs):
        for name, times in collections.Counter(name for name, _ in pairs).items():
            if times > 1:
                faults.append(f"{where}: data_extra has the key {name!r} {times} times")
        return dict(pairs)

    try:
        value = json.loads(document, object_pairs_hook=members)
    except (TypeError, ValueError) as error:
        faults.append(f"{where}: data_extra is no JSON: {error}: {document!r}")
        return {}
    if not isinstance(value, dict):
        faults.append(f"{where}: data_extra is no JSON object: {document!r}")
        return {}
    return value


def check_uuids(found, faults):
    seen = {}
    for table, rows in found.items():
        for row in (row for row in rows if "uuid" in row):
            uuid = str(row["uuid"])
            if not UUID7.fullmatch(uuid):
                faults.append(f"{table}: uuid {uuid} is not of version 7")
            if uuid in seen:
                faults.append(f"{table}: uuid {uuid} is also in {seen[uuid]}")
            seen[uuid] = table


# The comparison


def difference(expected, found):
    """(expected rows that are not there, rows that are there and not expected)."""
    by_key = collections.defaultdict(list)
    for row in found:
        by_key[key(row)].append(row)
    missing = []
    for row in (row for row in expected if row["timestamp"] is not None):
        equal = by_key[key(row)]
        equal.pop() if equal else missing.append(row)

    # Rows whose packet had no time take what is left and was received in the last day.
    recent = collections.defaultdict(list)
    for row in (row for rows in by_key.values() for row in rows):
        if is_recent(row.get("timestamp")):
            recent[key(row | {"timestamp": None})].append(row)
    taken = set()
    for row in (row for row in expected if row["timestamp"] is None):
        equal = recent[key(row)]
        taken.add(id(equal.pop())) if equal else missing.append(row)
    return missing, [row for rows in by_key.values() for row in rows if id(row) not in taken]


def is_recent(timestamp):
    now = time.time_ns() // 1000
    return timestamp is not None and now - DAY <= timestamp <= now


def key(row):
    return json.dumps(flat(row), sort_keys=True, default=str)


def flat(row):
    """All that is compared of a row, one level deep: {"callee": …, "data_extra.via": …}."""
    cells = {name: value for name, value in row.items() if name not in ("uuid", "origin", "data_extra")}
    for name, value in row.get("data_extra", {}).items():
        cells[f"data_extra.{name}"] = shown_credentials(value) if name == "authorization" else value
    return cells


def shown_credentials(value):
    """Scheme and readable values. Whether and how the others are masked is the writer's
    choice, as long as nothing of them is left."""
    found = read.credentials(str(value))
    shown = {"scheme": found["scheme"]}
    for name, parameter in found["parameters"]:
        if name.lower() in read.CREDENTIALS_KEPT:
            shown[name.lower()] = parameter.strip('"')
        elif parameter.strip('"*'):
            shown[name.lower()] = f"LEAKED: {parameter}"
    return shown


def paired(missing, extra):
    """Pairs of rows that were probably meant to be the same; None where there is no partner."""
    left = [(flat(row), row) for row in extra]
    pairs = []
    for row in missing:
        cells = flat(row)
        if not left or len(pairs) >= PAIRED:
            pairs.append((row, None))
            continue
        best = max(range(len(left)), key=lambda i: sum(left[i][0].get(name) == cells[name] for name in cells))
        pairs.append((row, left.pop(best)[1]))
    return pairs + [(None, row) for _, row in left]


def differing(missing, extra):
    """Names of the fields that differ in a pair of rows."""
    if missing is None or extra is None:
        return ["no row" if extra is None else "not expected"]
    expected, found = (
        # As JSON, since to Python 1, 1.0 and True are equal.
        {name: json.dumps(value, sort_keys=True, default=str) for name, value in flat(row).items()}
        for row in (missing, extra)
    )
    names = {name for name in expected | found if expected.get(name) != found.get(name)}
    # Any time of receipt is as good as another, so it is no difference by itself.
    if missing["timestamp"] is None and is_recent(extra["timestamp"]):
        names.discard("timestamp")
    return sorted(names)


def explain(missing, extra):
    if extra is None:
        return f"no row for {missing['origin']}: {key(missing)[:1000]}"
    if missing is None:
        return f"uuid {extra.get('uuid')} was not expected: {key(extra)[:1000]}"
    expected, found = flat(missing), flat(extra)
    lines = [f"{missing['origin']}, nearest row uuid {extra.get('uuid')}"]
    for name in differing(missing, extra):
        if name == "timestamp" and expected[name] is None:
            expected[name] = "within the last day"
        lines.append(f"  {name}")
        lines.append(f"    expected {expected[name]!r}" if name in expected else "    expected nothing")
        lines.append(f"    found    {found[name]!r}" if name in found else "    found    nothing")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except (read.NotRead, duckdb.Error, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
