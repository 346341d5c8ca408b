//! The tables of SIP, with the names and types that dashboards know from Homer, and where
//! each value comes from. Everything here reaches storage: columns are only ever added.

use heplake_sdk::{Column, Member, TableDescription};

/// Messages of a dialog's call.
pub(crate) fn call() -> TableDescription {
    let mut columns = head();
    columns.extend([
        column("caller", "VARCHAR", &["payload.caller"]),
        column("callee", "VARCHAR", &["payload.callee"]),
    ]);
    columns.extend(ends());
    columns.extend([
        column("method", "VARCHAR", &["payload.method"]),
        column("response_code", "VARCHAR", &["payload.response_code"]),
        column("cseq_method", "VARCHAR", &["payload.cseq_method"]),
        column("protocol", "UINTEGER", &["envelope.protocol"]),
        column("node_id", "VARCHAR", &["envelope.node_id"]),
        column("cid", "VARCHAR", &CID),
        payload(),
        data_extra(&[("aor", &["payload.aor"])]),
    ]);
    TableDescription {
        name: "hep_proto_1_call".into(),
        columns,
    }
}

/// Messages of a registration.
pub(crate) fn registration() -> TableDescription {
    let mut columns = head();
    columns.extend([
        column("aor", "VARCHAR", &["payload.aor"]),
        column("contact", "VARCHAR", &["payload.contact"]),
        column("expires", "VARCHAR", &["payload.expires"]),
        column("user_agent", "VARCHAR", &["payload.user_agent"]),
    ]);
    columns.extend(ends());
    columns.extend([
        column("method", "VARCHAR", &["payload.method"]),
        column("response_code", "VARCHAR", &["payload.response_code"]),
        column("protocol", "UINTEGER", &["envelope.protocol"]),
        column("node_id", "VARCHAR", &["envelope.node_id"]),
        payload(),
        data_extra(&[
            ("cid", &CID),
            ("cseq_method", &["payload.cseq_method"]),
            ("caller", &["payload.caller"]),
            ("callee", &["payload.callee"]),
        ]),
    ]);
    TableDescription {
        name: "hep_proto_1_registration".into(),
        columns,
    }
}

/// All other SIP messages.
pub(crate) fn default() -> TableDescription {
    let mut columns = head();
    columns.extend(ends());
    columns.extend([
        column("method", "VARCHAR", &["payload.method"]),
        column("response_code", "VARCHAR", &["payload.response_code"]),
        column("protocol", "UINTEGER", &["envelope.protocol"]),
        column("node_id", "VARCHAR", &["envelope.node_id"]),
        column("cid", "VARCHAR", &CID),
        payload(),
        data_extra(&[
            ("cseq_method", &["payload.cseq_method"]),
            ("caller", &["payload.caller"]),
            ("callee", &["payload.callee"]),
            ("aor", &["payload.aor"]),
        ]),
    ]);
    TableDescription {
        name: "hep_proto_1_default".into(),
        columns,
    }
}

/// What ties the legs of a call: the agent's correlation id, else the first configured
/// correlation header, else the Call-ID. Asterisk and others send the message's own Call-ID as
/// correlation id, which ties it to nothing: then the header counts.
const CID: [&str; 3] = [
    "envelope.correlation_id unless payload.call_id",
    "payload.correlation",
    "payload.call_id",
];

/// Members of `data_extra` in every table, by the parser's field. Homer's, then ours.
const EXTRAS: [(&str, &str); 27] = [
    ("from_host", "payload.from_host"),
    ("to_host", "payload.to_host"),
    ("user_agent", "payload.user_agent"),
    ("server", "payload.server"),
    ("via", "payload.via"),
    ("contact", "payload.contact"),
    ("authorization", "payload.authorization"),
    ("content_type", "payload.content_type"),
    ("content_length", "payload.content_length"),
    ("cseq", "payload.cseq"),
    ("expires", "payload.expires"),
    ("max_forwards", "payload.max_forwards"),
    ("response_code", "payload.response_code"),
    ("response_reason", "payload.response_reason"),
    ("request_uri", "payload.request_uri"),
    ("from_uri", "payload.from_uri"),
    ("to_uri", "payload.to_uri"),
    ("from_tag", "payload.from_tag"),
    ("to_tag", "payload.to_tag"),
    ("branch", "payload.branch"),
    ("x_call_id", "payload.x_call_id"),
    ("custom_headers.*", "payload.custom_headers.*"),
    ("p_asserted_identity", "payload.p_asserted_identity"),
    ("remote_party_id", "payload.remote_party_id"),
    ("diversion", "payload.diversion"),
    ("reason", "payload.reason"),
    ("session_id", "payload.session_id_header"),
];

/// The columns that every table begins with.
fn head() -> Vec<Column> {
    vec![
        column("uuid", "VARCHAR", &["host.uuid"]),
        column("date", "DATE", &["host.date"]),
        column("timestamp", "TIMESTAMP", &["host.timestamp"]),
        column(
            "session_id",
            "VARCHAR",
            &["payload.call_id", "envelope.correlation_id"],
        ),
    ]
}

/// The two ends of the packet.
fn ends() -> [Column; 4] {
    [
        column("src_ip", "VARCHAR", &["envelope.src_ip"]),
        column("dst_ip", "VARCHAR", &["envelope.dst_ip"]),
        column("src_port", "UINTEGER", &["envelope.src_port"]),
        column("dst_port", "UINTEGER", &["envelope.dst_port"]),
    ]
}

fn payload() -> Column {
    column("payload", "VARCHAR", &["payload.message"])
}

/// `data_extra`: what every table has, `own` (what fills no column of this one), what the
/// host had to correct, and whatever else the envelope knows.
fn data_extra(own: &[(&str, &[&str])]) -> Column {
    let mut members = vec![
        member("version", &["envelope.version"]),
        member("proto_type", &["envelope.proto_type"]),
    ];
    members.extend(EXTRAS.iter().map(|(key, from)| member(key, &[from])));
    members.extend(own.iter().map(|(key, from)| member(key, from)));
    members.extend([
        member("original_timestamp", &["host.original_timestamp"]),
        member("payload_base64", &["host.payload_base64"]),
        member("*", &["envelope.*"]),
    ]);
    Column {
        members,
        ..column("data_extra", "JSON", &[])
    }
}

fn column(name: &str, column_type: &str, from: &[&str]) -> Column {
    Column {
        name: name.into(),
        column_type: column_type.into(),
        from: from.iter().map(ToString::to_string).collect(),
        members: Vec::new(),
    }
}

fn member(key: &str, from: &[&str]) -> Member {
    Member {
        key: key.into(),
        from: from.iter().map(ToString::to_string).collect(),
    }
}
