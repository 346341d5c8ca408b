//! Who may read the files of the lake.

use nix::sys::stat::{Mode, umask};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

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
        umask(self.denied());
    }

    /// Says if a data directory that is there lets others do more than this: files that an older
    /// version made keep their rights, until somebody changes them.
    pub fn check(self, data_dir: &Path) {
        let Ok(metadata) = fs::metadata(data_dir) else {
            return;
        };
        let mode = metadata.permissions().mode() & 0o777;
        if self.allows(mode) {
            return;
        }
        tracing::warn!(
            data_dir = %data_dir.display(),
            mode = format!("{mode:04o}"),
            "others may do more with what is in the data directory than data_permissions says: files that are there keep their rights until chmod -R takes them away"
        );
    }

    /// Whether a directory of this mode lets nobody do more.
    fn allows(self, mode: u32) -> bool {
        mode & self.denied().bits() == 0
    }

    fn denied(self) -> Mode {
        match self {
            Self::Owner => Mode::S_IRWXG | Mode::S_IRWXO,
            Self::Group => Mode::S_IWGRP | Mode::S_IRWXO,
            Self::Everybody => Mode::S_IWGRP | Mode::S_IWOTH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lets_others_do_more_if_one_right_is_not_given() {
        for (permissions, directory) in [
            (DataPermissions::Owner, 0o700),
            (DataPermissions::Group, 0o750),
            (DataPermissions::Everybody, 0o755),
        ] {
            for mode in 0..=0o777 {
                let is_within = mode & !directory & 0o077 == 0;
                assert_eq!(permissions.allows(mode), is_within, "{mode:o}");
            }
        }
    }
}
