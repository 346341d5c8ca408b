"""The independent reader against the table of captures/README.md and bytes made by hand.

    cd tests/independent && python3 -m unittest
"""

import gzip
import pathlib
import re
import struct
import unittest
import zlib

import read

CAPTURES = pathlib.Path(__file__).parent.parent / "captures"

INVITE = (
    b"INVITE sip:bob:secret@[2001:db8::1]:5060;transport=udp SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2\r\n"
    b'FROM: "A, <b> \\" c"\r\n <sip:alice:pw@example.test>;tag=1\r\n'
    b"t: <tel:+4930123;phone-context=example.test>\r\n"
    b"i: call-1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"X-Call-ID: leg-2\r\n"
    b"Subject: first\r\n"
    b"User-Agent: one\r\nUser-Agent: two\r\n"
    b"\r\nbody\r\n\r\n"
)


def hep3(*chunks, vendor=0):
    body = b"".join(struct.pack(">HHH", vendor, kind, 6 + len(data)) + data for kind, data in chunks)
    return b"HEP3" + struct.pack(">H", 6 + len(body)) + body


def sip(payload, *chunks):
    return read.row(hep3((0x0B, b"\x01"), *chunks, (0x0F, payload)), None)


def hep2(time, payload, family=b"\x02\x10\x02\x11", address=bytes([10, 0, 0, 1])):
    return family + struct.pack(">HH", 5060, 5061) + address * 2 + time + payload


class Captures(unittest.TestCase):
    def test_rows_by_table_equal_the_readme(self):
        lines = re.findall(r"^\| (\S+\.pcap) \| (\d+) \| (.*) \|$", (CAPTURES / "README.md").read_text(), re.M)
        self.assertEqual({name for name, _, _ in lines}, {path.name for path in CAPTURES.glob("*.pcap")})
        for name, packets, tables in lines:
            with self.subTest(name):
                wanted = {f"hep_proto_{t}": int(n) for t, n in (entry.split() for entry in tables.split(", "))}
                self.assertEqual(read.counts(CAPTURES / name), (int(packets), wanted))

    def test_a_stream_gives_the_rows_of_its_pcap(self):
        streams = list(CAPTURES.glob("*.stream"))
        self.assertTrue(streams)
        for path in streams:
            with self.subTest(path.name):
                self.assertEqual(read.rows(path), read.rows(path.with_suffix(".pcap")))

    def test_no_secret_is_in_a_column(self):
        for path in CAPTURES.glob("*.pcap"):
            for row in read.rows(path):
                shown = str({name: value for name, value in row.items() if name != "payload"})
                for secret in ("homer-pw", "myHep", 'nonce="'):
                    self.assertNotIn(secret, shown)


class Sip(unittest.TestCase):
    def test_reads_compact_folded_and_doubled_headers(self):
        table, cells = sip(INVITE)
        extra = cells["data_extra"]
        self.assertEqual(table, "hep_proto_1_call")
        self.assertEqual(cells["session_id"], "call-1")
        self.assertEqual(cells["cid"], "leg-2")
        self.assertEqual((cells["caller"], extra["from_host"], extra["from_tag"]), ("alice", "example.test", "1"))
        self.assertEqual(cells["callee"], "bob")
        self.assertEqual(extra["aor"], "+4930123")
        self.assertEqual(extra["branch"], "z9hG4bK1")
        self.assertEqual(
            extra["via"], "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2"
        )
        self.assertEqual(extra["user_agent"], "one")
        self.assertEqual(cells["payload"], INVITE.decode())

    def test_joins_the_lines_of_a_list_and_takes_the_first_of_all_else(self):
        _, cells = sip(
            b"BYE sip:a SIP/2.0\r\nReason: X.int;reasoncode=0x30A\r\nVia: a;branch=1\r\nreason: SIP;cause=200\r\n"
            b"Reason:\r\nVia: b;branch=2\r\nReason:\r\n Q.850;cause=16\r\nExpires: 1\r\nExpires: 2\r\n\r\n"
        )
        extra = cells["data_extra"]
        self.assertEqual(extra["reason"], "X.int;reasoncode=0x30A, SIP;cause=200, Q.850;cause=16")
        self.assertEqual((extra["via"], extra["branch"], extra["expires"]), ("a;branch=1, b;branch=2", "1", "1"))

    def test_leaves_out_a_line_that_was_cut_short(self):
        whole = b"BYE sip:a SIP/2.0\r\nCall-ID: 1\r\nUser-Agent: one\r\n two\r\n"
        for cut, agent in [(whole, "one two"), (whole[:-2], None), (whole[:-4], None)]:
            _, cells = sip(cut)
            self.assertEqual((cells["session_id"], cells["user_agent"]), ("1", agent), cut)

    def test_takes_users_as_they_are_searched_for(self):
        for sent, plain in {
            "+15550101234;npdi;rn=+15559": "+15550101234",
            "*21%23": "*21#",
            "*21%23;phone-context=h": "*21#",
            "cafe;Phone-Context=h": "cafe",
            "alice;day=tuesday": "alice;day=tuesday",
            "a%00%4": "a%00%4",
            "Andr%C3%A9": "Andr\u00e9",
            "Andr%E9": "Andr%E9",
        }.items():
            _, cells = sip(f"INVITE sip:{sent}:pw@h SIP/2.0\r\nFrom: <sip:{sent}:pw@h>\r\n\r\n".encode())
            extra = cells["data_extra"]
            self.assertEqual((cells["caller"], cells["callee"]), (plain, plain))
            self.assertEqual(extra["request_uri"], f"sip:{sent}:***@h")
            self.assertEqual(extra.get("from_uri"), None if sent == plain else f"sip:{sent}:***@h")

    def test_reads_the_same_with_bare_line_feeds(self):
        crlf, lf = sip(INVITE)[1], sip(INVITE.replace(b"\r\n", b"\n"))[1]
        self.assertEqual(crlf | {"payload": None}, lf | {"payload": None})

    def test_routes_responses_by_cseq(self):
        for cseq, table in [
            (b"1 BYE", "call"),
            (b"1 INFO", "call"),
            (b"1 REGISTER", "registration"),
            (b"1 REFER", "default"),
            (b"1 OPTIONS", "default"),
            (b"", "default"),
        ]:
            found, cells = sip(b"SIP/2.0 200 All is well\r\nCSeq: " + cseq + b"\r\n\r\n")
            self.assertEqual(found, f"hep_proto_1_{table}", cseq)
            self.assertEqual((cells["method"], cells["response_code"]), (None, "200"))
            self.assertEqual(cells["data_extra"]["response_reason"], "All is well")

    def test_takes_the_callee_from_to_if_the_request_uri_has_no_user(self):
        _, cells = sip(b"BYE sip:example.test SIP/2.0\r\nTo: sip:bob@example.test;tag=x\r\n\r\n")
        self.assertEqual((cells["callee"], cells["data_extra"]["to_tag"]), ("bob", "x"))

    def test_prefers_the_correlation_id_of_hep(self):
        _, cells = sip(INVITE, (0x11, b"hep-cid"))
        self.assertEqual((cells["cid"], cells["session_id"]), ("hep-cid", "call-1"))
        for unhelpful in (b"", b"call-1"):
            _, cells = sip(INVITE, (0x11, unhelpful))
            self.assertEqual(cells["cid"], "leg-2")
        _, cells = sip(b"OPTIONS sip:a SIP/2.0\r\n\r\n", (0x11, b"hep-cid"))
        self.assertEqual((cells["cid"], cells["session_id"]), ("hep-cid", "hep-cid"))

    def test_takes_uris_apart(self):
        for uri, parts in {
            "sip:alice@example.test:5060;lr": ("alice", "example.test"),
            "sip:alice;x=y:pw@[::1]:5060": ("alice;x=y", "[::1]"),
            "SIPS:example.test": (None, "example.test"),
            "tel:+49-30;ext=1": ("+49-30", None),
            "urn:service:sos": (None, None),
            None: (None, None),
        }.items():
            self.assertEqual(read.user_and_host(uri), parts, uri)

    def test_keeps_only_harmless_credentials(self):
        shown = read.masked('Digest username="a, b", nonce="n", response=r, qop=auth, cnonce="c"')
        self.assertEqual(shown, 'Digest username="a, b", nonce=***, response=***, qop=auth, cnonce=***')

    def test_replaces_invalid_utf8(self):
        _, cells = sip(b"MESSAGE sip:a SIP/2.0\r\nSubject: Gr\xc3\xbc\xe2\x98")
        self.assertTrue(cells["payload"].endswith("Gr\u00fc\ufffd"))

    def test_refuses_what_is_not_sip(self):
        with self.assertRaises(read.NotRead):
            sip(b"\r\n\r\n")


class Envelope(unittest.TestCase):
    def test_reads_chunks_in_any_order_and_the_last_of_doubled_ones(self):
        chunks = [
            (0x0F, b"one"),
            (0x0F, b"two"),
            (0x0B, b"\x05"),
            (0x11, b"cid"),
            (0x05, bytes(15) + b"\x01"),
            (0x06, bytes(10) + b"\xff\xff\x0a\x00\x00\x01"),
            (0x09, struct.pack(">I", 1795330000)),
            (0x0A, struct.pack(">I", 7)),
            (0x01, b"\x02"),
        ]
        table, cells = read.row(hep3(*chunks), None)
        self.assertEqual(table, "hep_proto_5_default")
        self.assertEqual((cells["payload"], cells["cid"], cells["session_id"]), ("two", "cid", "cid"))
        self.assertEqual((cells["src_ip"], cells["dst_ip"]), ("::1", "::ffff:10.0.0.1"))
        self.assertEqual(cells["timestamp"], 1795330000000007)
        self.assertEqual(cells["data_extra"], {"version": 3, "proto_type": 5, "ip_family": 2})

    def test_ignores_chunks_of_vendors(self):
        vendor = hep3((0x0F, b"theirs"), (0x11, b"theirs"), vendor=5)[6:]
        body = hep3((0x0B, b"\x05"), (0x0F, b"ours"))[6:] + vendor
        _, cells = read.row(b"EEP3" + struct.pack(">H", 6 + len(body)) + body, None)
        self.assertEqual((cells["payload"], cells["cid"]), ("ours", None))

    def test_inflates_payloads_and_whole_frames(self):
        raw = zlib.compressobj(wbits=-15)
        for packed in (zlib.compress(b"text"), gzip.compress(b"text"), raw.compress(b"text") + raw.flush()):
            frame = hep3((0x0B, b"\x64"), (0x10, packed))
            for packet in (frame, gzip.compress(frame)):
                self.assertEqual(read.row(packet, None)[1]["payload"], "text")

    def test_shifts_a_capture_id_that_was_sent_with_htons(self):
        for sent, shown, raw in [(131137536, "2001", 131137536), (2001, "2001", None), (65537, "65537", None)]:
            _, cells = read.row(hep3((0x0B, b"\x05"), (0x0C, struct.pack(">I", sent))), None)
            self.assertEqual((cells["node_id"], cells["data_extra"].get("raw_node_id")), (shown, raw))

    def test_reads_hep2_of_either_order_and_padding(self):
        at = 1795330000
        for method in (b"INVITE", b"XYZ", b"SIP/2.0"):
            start = b"SIP/2.0 200 OK\r\n\r\n" if method == b"SIP/2.0" else method + b" sip:a SIP/2.0\r\n\r\n"
            for order in "<>":
                for pad in (b"", b"\0\0", b"\x12\xba", b"OK"):
                    if pad == b"OK" and method == b"XYZ":
                        continue  # an unknown method and letters before it: nobody can tell
                    packet = hep2(struct.pack(order + "IIH", at, 999_999, 4242) + pad, start)
                    with self.subTest(method=method, order=order, pad=pad):
                        _, cells = read.row(packet, (at + 500) * 1_000_000)
                        self.assertEqual(cells["timestamp"], at * 1_000_000 + 999_999)
                        self.assertEqual((cells["node_id"], cells["payload"]), ("4242", start.decode()))

    def test_reads_hep1_over_ipv6(self):
        packet = hep2(b"", b"OPTIONS sip:a SIP/2.0\r\n\r\n", b"\x01\x28\x0a\x11", bytes(15) + b"\x01")
        _, cells = read.row(packet, None)
        self.assertEqual((cells["timestamp"], cells["node_id"]), (None, None))
        self.assertEqual((cells["src_ip"], cells["src_port"], cells["dst_port"]), ("::1", 5060, 5061))
        self.assertEqual(cells["data_extra"]["version"], 1)

    def test_a_zero_time_is_no_time(self):
        _, cells = read.row(hep3((0x0B, b"\x05"), (0x09, bytes(4))), None)
        self.assertIsNone(cells["timestamp"])

    def test_reads_what_arrived_of_a_payload_that_is_the_last_chunk(self):
        for behind in ([], [(0x11, b"cid")]):
            packet = hep3((0x0B, b"\x05"), (0x0F, b"payload"), *behind)
            for missing in range(1, len(packet) - 6):
                cut = packet[:-missing]
                if missing < 7 and not behind:
                    _, cells = read.row(cut, None)
                    self.assertEqual((cells["payload"], cells["data_extra"]["truncated"]), ("payload"[:-missing], True))
                else:
                    with self.assertRaises((read.NotRead, struct.error)):
                        read.row(cut, None)
        self.assertNotIn("truncated", read.row(packet, None)[1]["data_extra"])

    def test_refuses_lengths_that_do_not_fit(self):
        for packet in (hep3()[:5], b"HEP3\0\x09abc", b"HEP3\0\x0c" + struct.pack(">HHH", 0, 1, 5), b"\x03abc", b""):
            with self.assertRaises((read.NotRead, struct.error)):
                read.row(packet, None)


if __name__ == "__main__":
    unittest.main()
