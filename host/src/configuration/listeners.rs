//! Listeners that cannot be together.

use super::{Configuration, ConfigurationError, settings};
use std::net::IpAddr;

/// A TCP listener: its section, and where it listens.
type Listener = (&'static str, IpAddr, u16);

/// Refuses two TCP listeners of one process on one port: the second could not be bound.
pub(super) fn check(get: &Configuration) -> Result<(), ConfigurationError> {
    let mut listeners: Vec<Listener> = Vec::new();
    for (section, enable, host, port) in [
        (
            "ingest.tcp",
            &settings::TCP_ENABLE,
            &settings::TCP_HOST,
            &settings::TCP_PORT,
        ),
        (
            "control",
            &settings::CONTROL_ENABLE,
            &settings::CONTROL_HOST,
            &settings::CONTROL_PORT,
        ),
        (
            "http",
            &settings::HTTP_ENABLE,
            &settings::HTTP_HOST,
            &settings::HTTP_PORT,
        ),
    ] {
        if !get.get(enable)? {
            continue;
        }
        let (host, port) = (get.get(host)?, get.get(port)?);
        let same = |(_, of, at): &&Listener| *at == port && port != 0 && overlap(*of, host);
        if let Some((one, _, _)) = listeners.iter().find(same) {
            let other = section;
            return Err(ConfigurationError::SamePort { one, other, port });
        }
        listeners.push((section, host, port));
    }
    Ok(())
}

/// Whether two addresses cannot both have one port. `::` is IPv4 as well.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let all = |address: IpAddr, of: IpAddr| {
        address.is_unspecified() && (address.is_ipv6() || of.is_ipv4())
    };
    one == other || all(one, other) || all(other, one)
}
