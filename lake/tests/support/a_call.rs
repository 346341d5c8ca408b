//! A site with a call in it.

use super::{DAY, Row, Site, row, table};
use heplake_lake::Lake;

/// A site with one call: INVITE, 180, 200, BYE, a NOTIFY of the same dialog, RTCP reports, a
/// registration, and another call.
pub(crate) fn with_a_call() -> (Site, Lake) {
    let site = Site::new();
    let lake = site.open();
    let (call, other) = (table("hep_proto_1_call"), table("hep_proto_1_default"));
    let (registration, rtcp) = (
        table("hep_proto_1_registration"),
        table("hep_proto_5_default"),
    );
    let message = |second, uuid: &str, method: &str, code: &str, caller: &str| -> Row<'static> {
        let mut row = row(
            second,
            &[("uuid", uuid), ("session_id", "1@a"), ("cid", "1@a")],
        );
        row.extend([
            ("caller", String::from(caller)),
            ("callee", "bob".into()),
            ("src_ip", "10.0.0.1".into()),
            ("src_port", "5060".into()),
            ("dst_ip", "10.0.0.2".into()),
            ("payload", "SIP/2.0 …".into()),
            (
                "data_extra",
                r#"{"cseq":"1 INVITE","response_reason":"Ringing"}"#.into(),
            ),
        ]);
        match code {
            "" => row.push(("method", String::from(method))),
            code => row.extend([
                ("response_code", String::from(code)),
                ("cseq_method", method.into()),
            ]),
        }
        row
    };
    let mut another = message(9, "09", "INVITE", "", "carol");
    another.retain(|(name, _)| !matches!(*name, "session_id" | "cid"));
    another.extend([("session_id", "2@a".into()), ("cid", "x' OR 1=1 --".into())]);
    site.commit(
        "e",
        1,
        &[
            (
                &call,
                DAY,
                vec![
                    message(3, "04", "INVITE", "200", "alice"),
                    message(1, "01", "INVITE", "", "alice"),
                    message(1, "02", "INVITE", "180", "alice"),
                    message(8, "07", "BYE", "", "alice"),
                    another,
                ],
            ),
            (
                &other,
                DAY,
                vec![row(
                    5,
                    &[("uuid", "05"), ("session_id", "1@a"), ("method", "NOTIFY")],
                )],
            ),
            (
                &rtcp,
                DAY,
                vec![row(
                    6,
                    &[("uuid", "06"), ("session_id", "1@a"), ("payload", "{}")],
                )],
            ),
            (
                &registration,
                DAY,
                vec![row(
                    0,
                    &[
                        ("uuid", "00"),
                        ("session_id", "3@a"),
                        ("aor", "alice@example.org"),
                        ("method", "REGISTER"),
                    ],
                )],
            ),
        ],
    );
    assert_eq!(lake.register_new().unwrap().rows, 8);
    (site, lake)
}
