//! Packets that trap the SIP parser, among many that do not.

use heplake_host::{Engine, PlanError, TableRows};
use heplake_tests::{poison, traffic::Traffic};
use std::collections::BTreeMap;

const TIME_US: u64 = 1_795_305_600_000_000;

fn texts(rows: &TableRows<'_>, column: &str) -> Vec<String> {
    let mut columns = rows.as_text();
    let (_, texts) = columns.find(|(c, _)| c.name.as_str() == column).unwrap();
    texts.into_iter().map(Option::unwrap_or_default).collect()
}

#[test]
fn every_packet_that_traps_the_parser_is_rejected_and_every_other_is_stored() {
    let engine = Engine::new().unwrap();
    let mut pipeline = poison::pipeline(&engine).unwrap();
    let mut traffic = Traffic::new(7, TIME_US);
    let mut random = fastrand::Rng::with_seed(7);
    for (packets, one_of) in [
        (1024, 100),
        (1024, 10),
        (1024, 1000),
        (100, 2),
        (8, 1),
        (1024, 100),
    ] {
        let mut batch = traffic.batch(packets);
        let poisoned = poison::poison(&mut batch, one_of, &mut random);
        let mut payloads: BTreeMap<bool, Vec<String>> = BTreeMap::new();
        let write = |rows: TableRows<'_>| -> Result<(), PlanError> {
            let rejected = rows.plan.table().name.as_str() == "hep_rejected";
            if rejected {
                assert!(
                    texts(&rows, "reason")
                        .iter()
                        .all(|reason| reason == "component_trap")
                );
            } else {
                assert!(rows.plan.table().name.as_str().starts_with("hep_proto_1_"));
            }
            payloads
                .entry(rejected)
                .or_default()
                .extend(texts(&rows, "payload"));
            Ok(())
        };
        pipeline.process(batch, write).unwrap();
        let count = |rejected| payloads.get(&rejected).map_or(0, Vec::len);
        assert_eq!((count(true), count(false)), (poisoned, packets - poisoned));
        let is_poison = |payload: &String| payload.starts_with("POISON");
        assert!(
            payloads
                .get(&true)
                .is_none_or(|rejected| rejected.iter().all(is_poison))
        );
        assert!(
            !payloads
                .get(&false)
                .is_some_and(|stored| stored.iter().any(is_poison))
        );
    }
}
