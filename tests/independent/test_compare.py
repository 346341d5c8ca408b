"""compare.py must accept the right rows and notice each kind of wrong one.

Needs the Python package duckdb, and in HEPLAKE_DUCKDB_EXTENSIONS the directory with the
official extensions; is skipped without.

    cd tests/independent && HEPLAKE_DUCKDB_EXTENSIONS=… python3 -m unittest
"""

import contextlib
import io
import json
import os
import pathlib
import random
import sys
import tempfile
import time
import unittest
import unittest.mock

import read

EXTENSIONS = os.environ.get("HEPLAKE_DUCKDB_EXTENSIONS")
CAPTURES = pathlib.Path(__file__).parent.parent / "captures"
SENT = [
    str(CAPTURES / name)
    for name in ("hep-js-1.0.22.pcap", "kamailio-5.6.3-hep1-udp-mode1.pcap", "hep-js-1.0.22.pcap")
]

try:
    import duckdb
    import compare
except ImportError:
    EXTENSIONS = None


def uuid7():
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


@unittest.skipUnless(EXTENSIONS, "needs duckdb and HEPLAKE_DUCKDB_EXTENSIONS")
class Compare(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.catalog = os.path.join(directory.name, "catalog.sqlite")
        self.data = os.path.join(directory.name, "parquet")
        os.mkdir(self.data)
        self.rows = []
        for path in SENT:
            for row in read.rows(path):
                row["uuid"] = uuid7()
                row["timestamp"] = row["timestamp"] or time.time_ns() // 1000
                row["date"] = row["timestamp"] // 86_400_000_000
                self.rows.append(row)

    def row(self, table="hep_proto_1_call", **wanted):
        return next(r for r in self.rows if r["table"] == table and wanted.items() <= r.items())

    def compare(self):
        """Writes the rows into a new lake; returns (exit code, output) of the comparison."""
        lake = duckdb.connect(config={"extension_directory": EXTENSIONS})
        lake.execute("LOAD sqlite_scanner; LOAD ducklake")
        lake.execute(f"ATTACH 'ducklake:sqlite:{self.catalog}' AS lake (DATA_PATH '{self.data}/')")
        tables = {row["table"] for row in self.rows}
        for table in tables:
            layout = read.columns(table)
            made = {"timestamp": "make_timestamp(?::BIGINT)", "date": "DATE '1970-01-01' + ?::INTEGER"}
            # By way of memory, since each INSERT into the lake is a snapshot and a file.
            lake.execute(f"CREATE TABLE memory.{table} ({', '.join(f'{n} {t}' for n, t in layout.items())})")
            lake.executemany(
                f"INSERT INTO memory.{table} VALUES ({', '.join(made.get(name, '?') for name in layout)})",
                [
                    [json.dumps(row[n]) if isinstance(row[n], dict) else row[n] for n in layout]
                    for row in self.rows
                    if row["table"] == table
                ],
            )
        copies = "; ".join(f"CREATE TABLE lake.{table} AS FROM memory.{table}" for table in tables)
        lake.execute(f"BEGIN; {copies}; COMMIT")
        lake.close()
        arguments = ["compare.py", "--catalog", self.catalog, "--data", self.data, "--extensions", EXTENSIONS]
        output = io.StringIO()
        with unittest.mock.patch.object(sys, "argv", arguments + SENT), contextlib.redirect_stdout(output):
            with self.assertRaises(SystemExit) as end:
                compare.main()
        return end.exception.code, output.getvalue()

    def refuse_a_packet(self):
        """A row in hep_rejected, whose columns are no business of compare.py."""
        with duckdb.connect(config={"extension_directory": EXTENSIONS}) as lake:
            lake.execute("LOAD sqlite_scanner; LOAD ducklake")
            lake.execute(f"ATTACH 'ducklake:sqlite:{self.catalog}' AS lake (DATA_PATH '{self.data}/')")
            lake.execute("CREATE TABLE lake.hep_rejected AS SELECT 'too short' AS reason, 'abc'::BLOB AS bytes")

    def assert_noticed(self, *words):
        code, output = self.compare()
        self.assertEqual(code, 1, output)
        for word in words:
            self.assertIn(word, output)

    def test_accepts_the_rows_of_all_captures(self):
        code, output = self.compare()
        self.assertEqual(code, 0, output)
        self.assertIn("76 rows expected", output)

    def test_notices_a_changed_column(self):
        self.row(cid="aleg-77@test")["caller"] = "mallory"
        self.assert_noticed("hep-js-1.0.22.pcap packet 2", "expected 'alice'", "found    'mallory'")

    def test_notices_a_null_for_a_value(self):
        self.row(cid="aleg-77@test")["method"] = None
        self.assert_noticed("expected 'INVITE'", "found    None")

    def test_notices_a_changed_key_of_data_extra(self):
        self.row("hep_proto_35_default")["data_extra"]["mos"] = 438
        self.assert_noticed("data_extra.mos", "expected 437", "found    438")

    def test_notices_a_number_written_as_text(self):
        self.row("hep_proto_35_default")["data_extra"]["mos"] = "437"
        self.assert_noticed("data_extra.mos", "expected 437", "found    '437'")

    def test_notices_a_real_for_a_whole_number(self):
        self.row("hep_proto_35_default")["data_extra"]["mos"] = 437.0
        self.assert_noticed("data_extra.mos", "found    437.0")

    def test_notices_a_key_too_many_even_if_it_is_null(self):
        self.row()["data_extra"]["reason"] = None
        self.assert_noticed("data_extra.reason", "expected nothing", "found    None")

    def test_notices_a_lost_row(self):
        row = self.row("hep_proto_34_default")
        self.rows.remove(row)
        self.assert_noticed("no row for hep-js-1.0.22.pcap packet 3")

    def test_notices_a_refused_packet(self):
        self.refuse_a_packet()
        self.assert_noticed("hep_rejected", "too short")

    def test_notices_a_doubled_row(self):
        self.rows.append(self.row("hep_proto_34_default") | {"uuid": uuid7()})
        self.assert_noticed("was not expected")

    def test_notices_a_timestamp_that_is_off_by_a_microsecond(self):
        self.row("hep_proto_34_default")["timestamp"] += 1
        self.assert_noticed("1795330316777777", "1795330316777778")

    def test_notices_an_old_receive_time(self):
        row = self.row("hep_proto_1_registration")
        row["timestamp"] -= 2 * 86_400_000_000
        row["date"] -= 2
        self.assert_noticed("expected 'within the last day'")

    def test_notices_a_row_in_the_wrong_date(self):
        self.row()["date"] += 1
        self.assert_noticed("has date")

    def test_notices_a_uuid_of_another_version_or_twice(self):
        self.row("hep_proto_34_default")["uuid"] = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
        self.row("hep_proto_35_default")["uuid"] = self.row("hep_proto_5_default")["uuid"]
        self.assert_noticed("is not of version 7", "is also in")

    def test_notices_credentials_in_clear(self):
        row = next(row for row in self.rows if "authorization" in row["data_extra"])
        row["data_extra"]["authorization"] = row["data_extra"]["authorization"].replace("nonce=***", 'nonce="abc"')
        self.assert_noticed("LEAKED")

    def test_accepts_another_way_of_masking(self):
        row = next(row for row in self.rows if "authorization" in row["data_extra"])
        row["data_extra"]["authorization"] = row["data_extra"]["authorization"].replace("nonce=***", 'nonce="***"')
        code, output = self.compare()
        self.assertEqual(code, 0, output)
