#!/usr/bin/env python3
"""Holds what other readers of Parquet find in a lake's data files against what DuckDB does.

    readers.py --catalog PATH --data PATH --extensions DIR [READER…]

The readers are pyarrow, polars and fastparquet. Those that are named have to be here; where
none is named, those take part that are installed. Every file below PATH/main is read whole by
each, without a look at its directory's name: columns, rows and values must be the same, and
the files must have the rows that the lake says it has. Exits 1 otherwise.
"""

import argparse
import collections
import importlib.util
import json
import pathlib
import sys

import compare
import duckdb

READERS = ("pyarrow", "polars", "fastparquet")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--extensions", required=True)
    parser.add_argument("readers", nargs="*", metavar="READER")
    arguments = parser.parse_args()
    readers = arguments.readers or [name for name in READERS if importlib.util.find_spec(name)]
    lake = compare.attach(arguments.catalog, arguments.data, arguments.extensions)

    files, faults = collections.Counter(), []
    rows = collections.Counter()
    for path in sorted(pathlib.Path(arguments.data, "main").glob("*/*/*.parquet")):
        types, expected = read_duckdb(path)
        table = path.parts[-3]
        files[table] += 1
        rows[table] += len(next(iter(expected.values())))
        for reader in readers:
            faults += differences(f"{reader}, {path}", types, expected, READ[reader](path, types))
    print(f"{'table':<28}{'files':>10}{'rows':>10}")
    for table in sorted(files):
        print(f"{table:<28}{files[table]:>10}{rows[table]:>10}")
        (count,) = lake.execute(f"SELECT count(*) FROM homer_lake.main.{table}").fetchone()
        if count != rows[table]:
            faults.append(f"{table} has {count} rows in the lake and {rows[table]} in its files")
    if not files:
        faults.append(f"no data files below {arguments.data}")
    print(f"read by DuckDB and {', '.join(readers) or 'no other reader: none is installed'}")
    for fault in faults[: compare.FAULTS_SHOWN]:
        print(fault)
    sys.exit(1 if faults else 0)


def differences(where, types, expected, found):
    if list(found) != list(types):
        return [f"{where}: columns are {list(found)} and should be {list(types)}"]
    for name, values in expected.items():
        if len(found[name]) != len(values):
            return [f"{where}: {name} has {len(found[name])} values and should have {len(values)}"]
        for row, (value, other) in enumerate(zip(values, found[name])):
            if isinstance(other, dict):
                # A reader that takes JSON apart.
                value = json.loads(value)
            # Not equality alone: to Python 1 and 1.0 are equal.
            if type(value) is not type(other) or value != other:
                return [f"{where}: row {row} of {name} is {other!r} and should be {value!r}"]
    return []


# The readers. Each gives the values of a file by column: None, text (also of JSON), numbers,
# bytes, and times in µs since 1970. `types` are DuckDB's names of the types.


def read_duckdb(path):
    file = duckdb.from_parquet(str(path), hive_partitioning=False)
    types = dict(zip(file.columns, map(str, file.types)))
    fields = [f'epoch_us("{name}")' if kind == "TIMESTAMP" else f'"{name}"' for name, kind in types.items()]
    values = zip(*file.project(", ".join(fields)).fetchall())
    return types, {name: list(column) for name, column in zip(types, values)}


def read_pyarrow(path, types):
    import pyarrow.parquet

    # A file, not a table: that would take a column from the directory's name.
    file = pyarrow.parquet.ParquetFile(path).read()
    columns = dict(zip(file.column_names, file.columns))
    return {
        name: (column.cast("int64") if types.get(name) == "TIMESTAMP" else column).to_pylist()
        for name, column in columns.items()
    }


def read_polars(path, types):
    import polars

    file = polars.read_parquet(path, hive_partitioning=False)
    return {
        column.name: [
            # It takes JSON for bytes.
            value.decode() if types.get(column.name) == "JSON" and isinstance(value, bytes) else value
            for value in (column.to_physical() if types.get(column.name) == "TIMESTAMP" else column).to_list()
        ]
        for column in file.get_columns()
    }


def read_fastparquet(path, types):
    import fastparquet
    import pandas

    file = fastparquet.ParquetFile(str(path)).to_pandas(index=False)

    def plain(value, kind):
        if value is None or (pandas.api.types.is_scalar(value) and pandas.isna(value)):
            return None
        if kind == "TIMESTAMP":
            return pandas.Timestamp(value).value // 1000
        if kind in ("UINTEGER", "UBIGINT", "BIGINT"):
            return int(value)
        return value

    return {name: [plain(value, types.get(name)) for value in file[name]] for name in file.columns}


READ = {"pyarrow": read_pyarrow, "polars": read_polars, "fastparquet": read_fastparquet}

if __name__ == "__main__":
    try:
        main()
    except (duckdb.Error, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
