//! Every sample, natively. `heplake component test` runs the same samples in the sandbox.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "samples that cannot be read fail the test"
)]

use heplake_readings::Readings;
use heplake_sdk::samples;
use std::{fs, path::Path};

#[test]
fn the_samples_give_what_they_expect() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = fs::read_to_string(&path).unwrap();
            match samples::check(&mut Readings, &text) {
                Ok(checked) => count += checked,
                Err(differences) => panic!("{}:\n{differences}", path.display()),
            }
        }
    }
    assert!(count > 0, "there are no samples");
}
