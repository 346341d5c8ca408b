"""readers.py must notice each way in which a reader can find something else."""

import unittest

try:
    import readers
except ImportError:
    readers = None

TYPES = {"caller": "VARCHAR", "src_port": "UINTEGER", "data_extra": "JSON"}
EXPECTED = {"caller": ["alice", None], "src_port": [5060, 5061], "data_extra": ['{"version":3}', "{}"]}


@unittest.skipUnless(readers, "needs duckdb")
class Differences(unittest.TestCase):
    def found(self, **columns):
        return readers.differences("a file", TYPES, EXPECTED, EXPECTED | columns)

    def test_the_same_is_no_difference(self):
        self.assertEqual(self.found(), [])
        self.assertEqual(self.found(data_extra=[{"version": 3}, {}]), [])

    def test_what_differs_is_said(self):
        for columns in (
            {"caller": ["alice", ""]},
            {"caller": ["alice"]},
            {"src_port": [5060.0, 5061.0]},
            {"data_extra": [{"version": 2}, {}]},
            {"other": [1, 2]},
        ):
            with self.subTest(columns):
                self.assertEqual(len(self.found(**columns)), 1)


if __name__ == "__main__":
    unittest.main()
