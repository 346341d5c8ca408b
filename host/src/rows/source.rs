//! Where the values of a column come from.

use heplake_sdk::Kind;

/// What the host itself knows of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostField {
    /// A UUIDv7 that rises with arrival.
    Uuid,
    /// The day of the timestamp: stands in the path.
    Date,
    /// The packet's time, or the time of its arrival when that cannot be.
    Timestamp,
    /// The packet's time when it could not be.
    OriginalTimestamp,
    /// The exact payload, when what the column holds had to be made UTF-8.
    PayloadBase64,
    /// Who sent it.
    PeerIp,
    /// From which port.
    PeerPort,
    /// Why it was refused.
    Reason,
    /// By which component.
    Component,
    /// What was refused.
    Refused,
}

impl HostField {
    pub(super) fn named(name: &str) -> Option<(Self, Kind)> {
        Some(match name {
            "uuid" => (Self::Uuid, Kind::Text),
            "date" => (Self::Date, Kind::Time),
            "timestamp" => (Self::Timestamp, Kind::Time),
            "original_timestamp" => (Self::OriginalTimestamp, Kind::Number),
            "payload_base64" => (Self::PayloadBase64, Kind::Text),
            "peer_ip" => (Self::PeerIp, Kind::Text),
            "peer_port" => (Self::PeerPort, Kind::Number),
            "reason" => (Self::Reason, Kind::Text),
            "component" => (Self::Component, Kind::Text),
            "refused" => (Self::Refused, Kind::Bytes),
            _ => return None,
        })
    }
}

/// Whose rows a field is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Envelope,
    Payload,
}

/// A field: whose rows it is of, its place in them, and its kind.
pub(super) type FieldPlace = (Stage, usize, Kind);

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Field(Stage, usize, Kind),
    /// The first field, unless the second one holds the same octets.
    Unless(FieldPlace, FieldPlace),
    Host(HostField),
}

impl Source {
    /// The field whose value this may be.
    pub(super) fn field(&self) -> Option<FieldPlace> {
        match *self {
            Self::Field(stage, field, kind) => Some((stage, field, kind)),
            Self::Unless(place, _) => Some(place),
            Self::Host(_) => None,
        }
    }

    /// Whether what comes after it is not looked at, in whatever row: the host's own values are
    /// taken as they are, be it none.
    pub(super) fn ends_the_search(&self) -> bool {
        matches!(self, Self::Host(field) if *field != HostField::Refused)
    }
}
