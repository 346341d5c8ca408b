//! HEP in, rows out: the contract holds, and numbers fit their columns.
#![no_main]

use heplake_hep::{Hep, field};
use libfuzzer_sys::fuzz_target;

/// Fields that become `UINTEGER` columns.
const NUMBERS: [usize; 5] = [
    field::IP_FAMILY,
    field::PROTOCOL,
    field::SRC_PORT,
    field::DST_PORT,
    field::PROTO_TYPE,
];

fuzz_target!(|data: &[u8]| {
    let (_, parsed) = heplake_fuzz::parse(&mut Hep::default(), data);
    for row in parsed.cells.chunks_exact(field::COUNT) {
        assert!(matches!(row[field::VERSION], 1..=3));
        assert_ne!(row[field::PAYLOAD], u64::MAX, "every row has a payload");
        for number in NUMBERS {
            assert!(row[number] == u64::MAX || row[number] <= u64::from(u32::MAX));
        }
    }
});
