use heplake_sdk::{Cell, RouteBatch, Router, route};

use super::SipRouter;

/// Routes one row with these fields.
fn table_of(method: Option<&str>, cseq_method: Option<&str>) -> String {
    let mut bytes = Vec::new();
    let cells = [method, cseq_method].map(|text| match text {
        None => Cell::NULL.0,
        Some(text) => {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(text.as_bytes());
            Cell::span(start, text.len() as u32).0
        }
    });
    let places = route(
        &mut SipRouter,
        &RouteBatch {
            bytes: &bytes,
            cells: &cells,
            rows: 1,
        },
    );
    assert_eq!(places.len(), 1);
    SipRouter.describe().tables[places[0] as usize].name.clone()
}

#[test]
fn routes_requests_by_their_method() {
    for method in ["INVITE", "ACK", "PRACK", "UPDATE", "BYE", "CANCEL", "INFO"] {
        assert_eq!(table_of(Some(method), Some(method)), "hep_proto_1_call");
    }
    assert_eq!(table_of(Some("REGISTER"), None), "hep_proto_1_registration");
    for method in [
        "OPTIONS",
        "NOTIFY",
        "SUBSCRIBE",
        "PUBLISH",
        "MESSAGE",
        "REFER",
        "invite",
        "",
    ] {
        assert_eq!(
            table_of(Some(method), Some("INVITE")),
            "hep_proto_1_default"
        );
    }
}

#[test]
fn routes_responses_by_the_method_in_cseq() {
    assert_eq!(table_of(None, Some("INVITE")), "hep_proto_1_call");
    assert_eq!(table_of(None, Some("REGISTER")), "hep_proto_1_registration");
    assert_eq!(table_of(None, Some("OPTIONS")), "hep_proto_1_default");
}

#[test]
fn routes_a_response_without_cseq_to_default() {
    assert_eq!(table_of(None, None), "hep_proto_1_default");
}

/// Names, order and types as dashboards know them.
#[test]
fn tables_have_the_columns_of_the_storage_layout() {
    let layout: Vec<String> = SipRouter
        .describe()
        .tables
        .iter()
        .map(|table| {
            let columns: Vec<_> = table
                .columns
                .iter()
                .map(|column| format!("{} {}", column.name, column.column_type))
                .collect();
            format!("{}: {}", table.name, columns.join(", "))
        })
        .collect();
    assert_eq!(
        layout,
        [
            "hep_proto_1_call: uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, \
             caller VARCHAR, callee VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, \
             dst_port UINTEGER, method VARCHAR, response_code VARCHAR, cseq_method VARCHAR, \
             protocol UINTEGER, node_id VARCHAR, cid VARCHAR, payload VARCHAR, data_extra JSON",
            "hep_proto_1_registration: uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id \
             VARCHAR, aor VARCHAR, contact VARCHAR, expires VARCHAR, user_agent VARCHAR, src_ip \
             VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, method VARCHAR, \
             response_code VARCHAR, protocol UINTEGER, node_id VARCHAR, payload VARCHAR, \
             data_extra JSON",
            "hep_proto_1_default: uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id \
             VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, \
             method VARCHAR, response_code VARCHAR, protocol UINTEGER, node_id VARCHAR, cid \
             VARCHAR, payload VARCHAR, data_extra JSON",
        ]
    );
}

/// Every field that the parser of SIP extracts reaches a column or a member of every table.
#[test]
fn no_table_loses_what_is_known() {
    let everywhere = [
        "message",
        "method",
        "response_code",
        "response_reason",
        "cseq_method",
        "call_id",
        "caller",
        "callee",
        "from_host",
        "to_host",
        "from_tag",
        "to_tag",
        "request_uri",
        "aor",
        "contact",
        "expires",
        "user_agent",
        "server",
        "via",
        "branch",
        "authorization",
        "content_type",
        "content_length",
        "cseq",
        "max_forwards",
        "x_call_id",
        "p_asserted_identity",
        "remote_party_id",
        "diversion",
        "reason",
        "session_id_header",
        "correlation",
        "from_uri",
        "to_uri",
        "custom_headers.*",
    ];
    for table in SipRouter.describe().tables {
        let sources: Vec<_> = table
            .columns
            .iter()
            .flat_map(|column| {
                column
                    .from
                    .iter()
                    .chain(column.members.iter().flat_map(|member| &member.from))
            })
            .collect();
        for field in everywhere {
            assert!(
                sources
                    .iter()
                    .any(|source| **source == format!("payload.{field}")),
                "{field} is lost in {}",
                table.name
            );
        }
    }
}

#[test]
fn keys_of_data_extra_are_unique() {
    for table in SipRouter.describe().tables {
        let members = &table.columns.last().expect("data_extra is last").members;
        let keys: std::collections::BTreeSet<_> =
            members.iter().map(|member| &member.key).collect();
        assert_eq!(keys.len(), members.len(), "{}", table.name);
    }
}
