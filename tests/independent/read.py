#!/usr/bin/env python3
"""Reads a capture of HEP into the table rows that Heplake must store for it.

    read.py FILE            one JSON object a row on stdout, in packet order
    read.py --counts FILE…  rows by table, as in captures/README.md

A second opinion: it shares no code and no technique with the product. It is slow and
obvious, and it raises an error on what it was not made for, rather than guess.

FILE is a `.pcap` (raw IPv4 or Ethernet, each packet one UDP datagram of HEP) or a `.stream`
(HEP packets back to back). Each object has "packet" (index in the file), "table", and every
column of that table but uuid and date. "timestamp" is µs since 1970, or null where the
packet says none and the receive time stands in for it.

Where the bytes leave a choice, these were made:

- Text is UTF-8; each maximal invalid part becomes U+FFFD. Nothing else in it is changed:
  NULs stay, escapes (`%40`, `\\"`) are decoded in users only, the case is as sent.
- A header's value is that of its first occurrence, folded lines joined by one space, and
  comma-joined values left together. Headers that are lists have the values of all their
  lines, joined by ", " (RFC 3261 section 7.3.1). The branch is that of the first Via.
- A last header line without line end was cut short: it is left out.
- A user is unescaped, and of a telephone number the parameters behind it are left out. Where
  that changed it, from_uri and to_uri have the URI as sent. `***` stands for a password.
- A datagram may end within its payload, if that is the last chunk: truncated is true then.
- A correlation id that is the Call-ID itself ties nothing: a correlation header counts first.
- SIP header values in data_extra are text even if they are digits (content_length,
  max_forwards, expires, cseq, response_code). `cseq` is the whole value, "1 INVITE".
- Numbers of the envelope in data_extra are JSON numbers, as sent: version, proto_type, vlan,
  tcp_flags, ip_tos, mos (hundredths), r_factor, jitter, ethertype, event_type, raw_node_id,
  keep_alive_timer, ip_family. A zero that was sent is kept (heplify's vlan). MAC addresses
  are octets in hexadecimal with colons.
- `ip_family` is there only if it disagrees with the addresses (hep-js sends 10 with IPv4).
- Addresses come from whichever of the chunks 3 to 6 is there, whatever the family says.
- An empty text chunk is an absent one. So is an empty Call-ID or correlation header.
- A URI's host is the host of RFC 3261: without the port, and an IPv6 host in brackets.
  `aor` is user@host, or the host alone; of a tel: URI it is the number.
- Of a tel: URI the user is the number without its parameters. URIs of other schemes than
  sip, sips and tel have neither user nor host.
- HEP 2: the capture id has the byte order in which the time makes sense.
- `authorization` keeps the scheme and the values of username, realm, uri, algorithm and
  qop; every other value is `***`. Compare it by `credentials`, not as text.
- A registration's contact, expires and user_agent stand in their columns and, as for the
  other SIP tables, in data_extra; so do response_code and the like.
- What a table has no column for stands in data_extra, so that nothing is lost: cid of a
  registration, ports and protocol of a log line, correlation_id of a DNS message.
"""

import collections
import gzip
import ipaddress
import json
import re
import struct
import sys
import zlib

# Columns in order, with the types that DuckDB gives them.
_START = "uuid:VARCHAR date:DATE timestamp:TIMESTAMP"
_PEERS = "src_ip:VARCHAR dst_ip:VARCHAR src_port:UINTEGER dst_port:UINTEGER"
_END = "payload:VARCHAR data_extra:JSON"
_CALL = (
    f"{_START} session_id:VARCHAR caller:VARCHAR callee:VARCHAR {_PEERS} method:VARCHAR "
    f"response_code:VARCHAR cseq_method:VARCHAR protocol:UINTEGER node_id:VARCHAR cid:VARCHAR {_END}"
)
_LAYOUTS = {
    "hep_proto_1_call": _CALL,
    "hep_proto_1_siprec": _CALL,
    "hep_proto_1_registration": (
        f"{_START} session_id:VARCHAR aor:VARCHAR contact:VARCHAR expires:VARCHAR user_agent:VARCHAR "
        f"{_PEERS} method:VARCHAR response_code:VARCHAR protocol:UINTEGER node_id:VARCHAR {_END}"
    ),
    "hep_proto_1_default": (
        f"{_START} session_id:VARCHAR {_PEERS} method:VARCHAR response_code:VARCHAR protocol:UINTEGER "
        f"node_id:VARCHAR cid:VARCHAR {_END}"
    ),
    "hep_proto_53_default": f"{_START} {_PEERS} protocol:UINTEGER node_id:VARCHAR {_END}",
    "hep_proto_100_default": (
        f"{_START} session_id:VARCHAR src_ip:VARCHAR dst_ip:VARCHAR node_id:VARCHAR {_END}"
    ),
}
_OTHER_LAYOUT = (
    f"{_START} session_id:VARCHAR {_PEERS} protocol:UINTEGER node_id:VARCHAR cid:VARCHAR {_END}"
)

CALL_METHODS = "INVITE ACK PRACK UPDATE BYE CANCEL INFO".split()
KNOWN_METHODS = CALL_METHODS + "REGISTER OPTIONS SUBSCRIBE NOTIFY PUBLISH MESSAGE REFER".split()
CORRELATION_HEADERS = ["x-cid", "x-call-id"]
# RFC 3261 section 20, RFC 3325, RFC 3326, RFC 5806, draft-ietf-sip-privacy.
LISTS = ["via", "contact", "reason", "p-asserted-identity", "diversion", "remote-party-id"]
TELEPHONE_PARAMETERS = (
    "phone-context ext isub isub-encoding postd enumdi npdi rn rn-context cic cic-context tgrp trunk-context "
    "cpc oli verstat premium-rate"
).split()
CREDENTIALS_KEPT = ["username", "realm", "uri", "algorithm", "qop"]


class NotRead(ValueError):
    """The bytes are not of a kind that this reader was made for."""


def columns(table):
    """The columns of a table in order: {name: DuckDB type}."""
    return dict(pair.split(":") for pair in _LAYOUTS.get(table, _OTHER_LAYOUT).split())


def rows(path):
    """All rows of a capture file, in packet order."""
    with open(path, "rb") as file:
        data = file.read()
    packets = stream_packets(data) if str(path).endswith(".stream") else pcap_packets(data)
    result = []
    for index, (time, packet) in enumerate(packets):
        try:
            table, cells = row(packet, time)
        except (NotRead, struct.error, zlib.error, IndexError) as error:
            raise NotRead(f"{path}: packet {index}: {error}") from error
        names = [name for name in columns(table) if name not in ("uuid", "date")]
        result.append({"packet": index, "table": table} | {name: cells[name] for name in names})
    return result


# Files


def pcap_packets(data):
    """(time in µs, UDP payload) of each packet of a pcap file."""
    order, scale = {
        b"\xd4\xc3\xb2\xa1": ("<", 1),
        b"\xa1\xb2\xc3\xd4": (">", 1),
        b"\x4d\x3c\xb2\xa1": ("<", 1000),
        b"\xa1\xb2\x3c\x4d": (">", 1000),
    }.get(data[:4]) or fail("not a pcap file")
    link = struct.unpack_from(order + "I", data, 20)[0]
    skip = {101: 0, 228: 0, 1: 14}.get(link)
    if skip is None:
        fail(f"link type {link}, not raw IP or Ethernet")
    packets, at = [], 24
    while at < len(data):
        seconds, fraction, captured, original = struct.unpack_from(order + "IIII", data, at)
        frame = data[at + 16 : at + 16 + captured]
        if captured != original or len(frame) != captured:
            fail(f"a packet at offset {at} is cut short")
        ip = frame[skip:]
        if ip[0] >> 4 != 4 or ip[9] != 17:
            fail(f"a packet at offset {at} is not UDP over IPv4")
        packets.append((seconds * 1_000_000 + fraction // scale, ip[(ip[0] & 15) * 4 + 8 :]))
        at += 16 + captured
    return packets


def stream_packets(data):
    """(None, HEP packet) for each packet of a byte stream. Its length stands in each packet."""
    packets = []
    while data:
        if data[:2] == b"\x1f\x8b":
            member = zlib.decompressobj(wbits=31)
            packets.append((None, member.decompress(data)))
            data = member.unused_data
            continue
        if data[:4] not in (b"HEP3", b"EEP3"):
            fail(f"no HEP packet where one should begin, but {data[:16]!r}")
        length = int.from_bytes(data[4:6], "big")
        if not 6 <= length <= len(data):
            fail(f"a packet of {length} octets with {len(data)} left")
        packets.append((None, data[:length]))
        data = data[length:]
    return packets


# The envelope


def row(packet, time):
    """(table, cells by column) of one HEP packet that arrived at `time` (µs, may be None)."""
    if packet[:2] == b"\x1f\x8b":
        packet = gzip.decompress(packet)
    if packet[:4] in (b"HEP3", b"EEP3"):
        envelope = hep3(packet)
    elif packet[:1] in (b"\x01", b"\x02"):
        envelope = hep12(packet, time)
    else:
        fail(f"not HEP: {packet[:16]!r}")
    payload = envelope.pop("payload")
    kind = envelope["data_extra"]["proto_type"]
    table, cells = sip_row(payload, envelope) if kind == 1 else other_row(kind, envelope)
    cells["payload"] = text(payload)
    cells["data_extra"] = {k: v for k, v in cells["data_extra"].items() if v is not None}
    return table, cells


def hep3(packet):
    total = int.from_bytes(packet[4:6], "big")
    missing = total - len(packet)
    if missing < 0:
        fail(f"the header says {total} octets, there are {len(packet)}")
    chunks = {}  # of vendor 0; the last of doubled chunks wins
    rest = packet[6:]
    while rest:
        vendor, kind, length = struct.unpack(">HHH", rest[:6])
        if missing and length == len(rest) + missing and (vendor, kind) == (0, 0x0F) and len(rest) > 6:
            chunks[kind], rest = rest[6:], b""
            break
        if not 6 <= length <= len(rest):
            fail(f"chunk {vendor}/{kind} has {length} octets with {len(rest)} left")
        if vendor == 0:
            chunks[kind] = rest[6:length]
        rest = rest[length:]
        if missing and not rest:
            fail(f"the header says {total} octets, there are {len(packet)}")
    if missing and packet[6:] == b"":
        fail(f"the header says {total} octets, there are {len(packet)}")

    def number(kind):
        return int.from_bytes(chunks[kind], "big") if chunks.get(kind) else None

    def words(kind):
        return text(chunks[kind]) if chunks.get(kind) else None

    def octets(kind):
        return chunks[kind].hex(":") if chunks.get(kind) else None

    seconds, micros = number(0x09) or 0, number(0x0A) or 0
    if micros >= 1_000_000:
        fail(f"{micros} microseconds")
    node = raw_node = number(0x0C)
    if node is not None and node >= 0x10000 and node % 0x10000 == 0:
        node = node >> 16  # sent with htons instead of htonl
    source = chunks.get(0x03) or chunks.get(0x05)
    target = chunks.get(0x04) or chunks.get(0x06)
    family = number(0x01)
    agrees = source is None or (family == 2) == (len(source) == 4)
    return {
        "timestamp": seconds * 1_000_000 + micros if seconds else None,
        "src_ip": address(source),
        "dst_ip": address(target),
        "src_port": number(0x07),
        "dst_port": number(0x08),
        "protocol": number(0x02),
        "node_id": None if node is None else str(node),
        "correlation": words(0x11),
        "payload": inflate(chunks[0x10]) if 0x10 in chunks else chunks.get(0x0F, b""),
        "data_extra": {
            "version": 3,
            "proto_type": number(0x0B),
            "ip_family": None if agrees else family,
            "keep_alive_timer": number(0x0D),
            "vlan": number(0x12),
            "node_name": words(0x13),
            "src_mac": octets(0x14),
            "dst_mac": octets(0x15),
            "ethertype": number(0x16),
            "tcp_flags": number(0x17),
            "ip_tos": number(0x18),
            "mos": number(0x20),
            "r_factor": number(0x21),
            "geo": words(0x22),
            "jitter": number(0x23),
            "transaction_type": words(0x24),
            "tags": words(0x26),
            "event_type": number(0x28),
            "group_id": words(0x29),
            "raw_node_id": None if node == raw_node else raw_node,
            "truncated": True if missing else None,
        },
    }


def hep12(packet, arrival):
    """HEP 1 and 2. The length octet is not believed: senders disagree on what it counts."""
    version, _, family, protocol, src_port, dst_port = struct.unpack(">BBBBHH", packet[:8])
    size = {2: 4, 10: 16, 28: 16, 30: 16}.get(family) or fail(f"address family {family}")
    source, target, rest = packet[8 : 8 + size], packet[8 + size : 8 + 2 * size], packet[8 + 2 * size :]
    timestamp = node = None
    if version == 2:
        # struct hep_timehdr as the sender's C compiler lays it out: 12 octets, of which 2 are
        # padding, or 10. The payload begins where a SIP message does.
        start = (
            first(at for at in (12, 10) if start_method(rest[at:]) in KNOWN_METHODS + ["SIP/2.0"])
            or first(at for at in (10, 12) if start_method(rest[at:]))
            or fail("no SIP start line after a HEP 2 header")
        )
        # Seconds, microseconds and capture id in the sender's own byte order.
        if arrival is None:
            fail("HEP 2 without an arrival time")
        guesses = [struct.unpack(order + "IIH", rest[:10]) for order in "<>"]
        guesses = [(s * 1_000_000 + us, id) for s, us, id in guesses if us < 1_000_000]
        if guesses:
            timestamp, node = min(guesses, key=lambda guess: abs(guess[0] - arrival))
        rest = rest[start:]
    return {
        "timestamp": timestamp,
        "src_ip": address(source),
        "dst_ip": address(target),
        "src_port": src_port,
        "dst_port": dst_port,
        "protocol": protocol,
        "node_id": None if node is None else str(node),
        "correlation": None,
        "payload": rest,
        "data_extra": {"version": version, "proto_type": 1},
    }


def start_method(payload):
    """First word of a SIP start line, or None: "INVITE", "SIP/2.0"."""
    line = re.match(rb"([\w.!%*+`'~-]+) [^\s]+ SIP/2\.0\r?\n|(SIP/2\.0) \d{3}[ \r\n]", payload)
    return (line[1] or line[2]).decode() if line else None


def inflate(data):
    for wbits in (15, 31, -15):  # zlib, gzip, raw deflate
        try:
            return zlib.decompress(data, wbits)
        except zlib.error:
            continue
    return fail("a compressed payload that is neither zlib, gzip nor deflate")


def address(octets):
    if octets is None:
        return None
    ip = ipaddress.ip_address(octets)
    mapped = ip.version == 6 and ip.ipv4_mapped
    return f"::ffff:{mapped}" if mapped else str(ip)


# Payloads


def other_row(kind, envelope):
    cells = dict(envelope)
    cells["session_id"] = cells["cid"] = cells.pop("correlation")
    table = f"hep_proto_{kind}_default"
    for name in ("protocol", "src_port", "dst_port"):
        if name not in columns(table):
            cells["data_extra"][name] = cells[name]
    if not {"session_id", "cid"} & columns(table).keys():
        cells["data_extra"]["correlation_id"] = cells["cid"]
    return table, cells


def sip_row(payload, envelope):
    head, *body = re.split(r"\r?\n\r?\n", text(payload).lstrip("\r\n"), maxsplit=1)
    start, *lines = re.split(r"\r?\n", re.sub(r"[ \t]*\r?\n[ \t]+", " ", head))
    if not body:
        lines = lines[:-1]  # what stands behind the last line end, if only nothing
    request = re.fullmatch(r"(\S+) (\S+) SIP/2\.0", start)
    response = re.fullmatch(r"SIP/2\.0 (\d{3})(?: (.*))?", start)
    if not request and not response:
        fail(f"not SIP: {start[:60]!r}")

    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        compact = dict(i="call-id", f="from", t="to", m="contact", v="via", c="content-type", l="content-length")
        name, value = compact.get(name, name), value.strip()
        if colon and name in LISTS:
            headers[name] = ", ".join(filter(None, [headers.get(name), value])) or None
        elif colon:
            headers.setdefault(name, value)

    method = request[1] if request else None
    request_uri = request[2] if request else None
    cseq_method = word(headers.get("cseq"), 1)
    uri_user = searched(user_and_host(request_uri)[0])
    caller, from_host, from_tag, from_uri = party(headers.get("from"))
    to_user, to_host, to_tag, to_uri = party(headers.get("to"))
    callee = uri_user or to_user
    aor = f"{to_user}@{to_host}" if to_user and to_host else to_user or to_host
    via = headers.get("via")
    correlation = envelope["correlation"]
    session = headers.get("call-id") or correlation
    own = correlation is not None and correlation == headers.get("call-id")
    cids = [None if own else correlation] + [headers.get(name) for name in CORRELATION_HEADERS] + [headers.get("call-id")]

    deciding = method or cseq_method
    if deciding in CALL_METHODS:
        table = "hep_proto_1_call"
    elif deciding == "REGISTER":
        table = "hep_proto_1_registration"
    else:
        table = "hep_proto_1_default"

    cells = dict(envelope)
    cells.pop("correlation")
    cells |= {
        "session_id": session,
        "cid": first(cid for cid in cids if cid),
        "caller": caller,
        "callee": callee,
        "aor": aor,
        "contact": discreet(headers.get("contact")),
        "expires": headers.get("expires"),
        "user_agent": headers.get("user-agent"),
        "method": method,
        "response_code": response[1] if response else None,
        "cseq_method": cseq_method,
    }
    cells["data_extra"] = envelope["data_extra"] | {
        "from_host": from_host,
        "to_host": to_host,
        "user_agent": headers.get("user-agent"),
        "server": headers.get("server"),
        "via": via,
        "contact": discreet(headers.get("contact")),
        "authorization": masked(headers.get("authorization")),
        "content_type": headers.get("content-type"),
        "content_length": headers.get("content-length"),
        "cseq": headers.get("cseq"),
        "expires": headers.get("expires"),
        "max_forwards": headers.get("max-forwards"),
        "response_code": response[1] if response else None,
        "response_reason": (response[2] or None) if response else None,
        "request_uri": discreet(request_uri),
        "from_uri": from_uri,
        "to_uri": to_uri,
        "from_tag": from_tag,
        "to_tag": to_tag,
        "branch": parameter(quoted_split(via), "branch"),
        "x_call_id": headers.get("x-call-id"),
        "p_asserted_identity": discreet(headers.get("p-asserted-identity")),
        "remote_party_id": discreet(headers.get("remote-party-id")),
        "diversion": discreet(headers.get("diversion")),
        "reason": headers.get("reason"),
        "session_id": headers.get("session-id"),
    }
    for name in ("cseq_method", "caller", "callee", "aor", "cid"):
        if name not in columns(table):
            cells["data_extra"][name] = cells[name]
    return table, cells


def party(value):
    """(user, host, tag, URI if the user in it is another) of a From or To value:
    `"Alice" <sip:alice@host>;tag=1` or `sip:alice@host;tag=1`."""
    if value is None:
        return None, None, None, None
    named = re.match(r'(?:"(?:\\.|[^"\\])*"|[^<"])*<([^>]*)>(.*)', value, re.S)
    bare = r"(sips?:[^@;]*(?:;[^@]*)?@[^;]*|[^;]*)(.*)"  # a semicolon before the @ is the user's
    uri, parameters = (named or re.match(bare, value, re.S | re.I)).groups()
    user, host = user_and_host(uri.strip())
    same = searched(user) == user
    return searched(user), host, parameter(parameters, "tag"), None if same else discreet(uri.strip())


def searched(user):
    """A user as people search for it: unescaped, and a telephone number without parameters."""
    if not user:
        return user
    number, semicolon, parameters = user.partition(";")
    named = re.split("[;=]", parameters)[0].lower() in TELEPHONE_PARAMETERS
    if semicolon and number and (named or re.fullmatch(r"\+?[-.()]*[\d*#][-.()\d*#]*", unescaped(number), re.A)):
        return unescaped(number)
    return unescaped(user)


def unescaped(user):
    """Escapes of control characters stay, and all do if the octets would be no UTF-8."""

    def octet(found):
        value = bytes.fromhex(found[1].decode())
        return found[0] if value < b" " or value == b"\x7f" else value

    octets = re.sub(rb"%([0-9A-Fa-f]{2})", octet, user.encode())
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return user


def discreet(value):
    """A value of addresses with `***` for the passwords of its URIs."""
    return value and re.sub(r"(sips?:[^:@<>\s]*:)(?!\d*[;?,>\s])[^@<>\s]+(?=@)", r"\1***", value, flags=re.I)


def user_and_host(uri):
    scheme, colon, rest = (uri or "").partition(":")
    if colon and scheme.lower() == "tel":
        return rest.split(";")[0], None
    if not colon or scheme.lower() not in ("sip", "sips"):
        return None, None
    userinfo, at, hostport = rest.rpartition("@")
    user = userinfo.split(":")[0] if at else None
    host = re.match(r"\[[^\]]*\]|[^:;?]*", hostport)[0]
    return user or None, host or None


def parameter(value, name):
    found = re.search(rf";\s*{name}\s*=\s*([^;,\s]+)", value or "", re.I)
    return found[1] if found else None


def quoted_split(value):
    """What stands before the first comma outside of quotes."""
    return None if value is None else re.match(r'(?:"(?:\\.|[^"\\])*"|[^,"])*', value)[0].strip()


def masked(value):
    if value is None:
        return None
    found = credentials(value)
    shown = [f"{k}={v if k.lower() in CREDENTIALS_KEPT else '***'}" for k, v in found["parameters"]]
    return f"{found['scheme']} {', '.join(shown)}"


def credentials(value):
    """An Authorization value taken apart: {"scheme", "parameters": [(name, value as written)]}."""
    scheme, _, rest = value.partition(" ")
    return {"scheme": scheme, "parameters": re.findall(r'([\w-]+)\s*=\s*("(?:\\.|[^"\\])*"|[^,\s]*)', rest)}


# Words


def text(octets):
    return octets.decode("utf-8", errors="replace")


def word(value, index):
    words = (value or "").split()
    return words[index] if len(words) > index else None


def first(values):
    return next(iter(values), None)


def fail(reason):
    raise NotRead(reason)


def counts(path):
    """(packets, {table: rows}) of a capture file."""
    found = rows(path)
    return len({row["packet"] for row in found}), collections.Counter(row["table"] for row in found)


def main(arguments):
    if arguments[:1] == ["--counts"] and arguments[1:]:
        for path in arguments[1:]:
            packets, tables = counts(path)
            listed = ", ".join(f"{t.removeprefix('hep_proto_')} {n}" for t, n in sorted(tables.items()))
            print(f"| {path.rsplit('/', 1)[-1]} | {packets} | {listed} |")
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        for found in rows(arguments[0]):
            print(json.dumps(found, ensure_ascii=False))
    else:
        sys.exit(f"usage: {sys.argv[0]} FILE | --counts FILE…")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (NotRead, OSError) as error:
        sys.exit(str(error))
