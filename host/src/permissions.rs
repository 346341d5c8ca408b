//! Who may read the files of the lake.

use nix::sys::stat::{Mode, umask};

/// Rights of the files that this process makes. A directory may be entered by those who may
/// read its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPermissions {
    /// The owner alone: 0600, and 0700.
    Owner,
    /// The owner's group reads too: 0640, and 0750.
    Group,
    /// Every user of the host reads too: 0644, and 0755.
    Everybody,
}

impl DataPermissions {
    /// All of them, by the mode of a file.
    pub(crate) const ALL: [(&'static str, Self); 3] = [
        ("0600", Self::Owner),
        ("0640", Self::Group),
        ("0644", Self::Everybody),
    ];

    /// Has all that this process makes from now on get these rights. It is the process's umask
    /// that says so, as the service manager's does otherwise: then it holds for each library
    /// that makes a file, SQLite's beside the catalog too, and from the first moment of a file.
    /// Files with secrets ask for fewer rights themselves, and keep those.
    pub fn apply(self) {
        let denied = match self {
            Self::Owner => Mode::S_IRWXG | Mode::S_IRWXO,
            Self::Group => Mode::S_IWGRP | Mode::S_IRWXO,
            Self::Everybody => Mode::S_IWGRP | Mode::S_IWOTH,
        };
        umask(denied);
    }
}
