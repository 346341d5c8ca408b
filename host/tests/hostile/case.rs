//! A hostile guest, and what the host must do.

use heplake_host::Limits;
use std::time::Duration;

/// What guests may use: a deadline that none of them comes near unless it loops.
const USUAL: Limits = Limits {
    deadline: Duration::from_secs(10),
    memory_bytes_max: 8 << 20,
};
/// For those that loop.
pub(crate) const SHORT: Limits = Limits {
    deadline: Duration::from_millis(50),
    ..USUAL
};
/// For those that want much memory, and get it.
pub(crate) const WIDE: Limits = Limits {
    memory_bytes_max: 64 << 20,
    ..USUAL
};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What it does, as a sentence without its subject.
    pub(crate) does: &'static str,
    pub(crate) component: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) host: Host,
    /// What the first field of its rows holds, and of how many, if that is held.
    pub(crate) texts: &'static [(&'static [u8], usize)],
}

/// What the host must do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Host {
    /// Refuse to load it, and say this among else.
    Refuse(&'static str),
    /// Find this fault with these items or rows of four, of which the second starts with an
    /// X, and answer the others.
    Contain(&'static str, &'static [usize]),
}

/// The item that starts with an X.
pub(crate) const X: &[usize] = &[1];
pub(crate) const ALL: &[usize] = &[0, 1, 2, 3];
pub(crate) const NONE: &[usize] = &[];

impl Case {
    pub(crate) fn refused(
        name: &'static str,
        does: &'static str,
        component: Vec<u8>,
        says: &'static str,
    ) -> Self {
        Self {
            name,
            does,
            component,
            limits: USUAL,
            host: Host::Refuse(says),
            texts: &[],
        }
    }

    pub(crate) fn contained(
        name: &'static str,
        does: &'static str,
        guest: crate::guest::Guest,
        kind: &'static str,
        items: &'static [usize],
    ) -> Self {
        Self {
            name,
            does,
            component: guest.bytes(),
            limits: USUAL,
            host: Host::Contain(kind, items),
            texts: &[],
        }
    }

    pub(crate) fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub(crate) fn giving(self, texts: &'static [(&'static [u8], usize)]) -> Self {
        Self { texts, ..self }
    }

    /// Whether its field is no text, and null of a clean packet.
    pub(crate) fn is_of_addresses(&self) -> bool {
        self.name == "address of two octets"
    }

    /// Whether it does right by a packet that gives it no reason to do wrong.
    pub(crate) fn works(&self) -> bool {
        !matches!(self.host, Host::Contain(_, ALL))
    }
}
