//! Platforms that DuckDB is published for, and what each publisher calls them.

use std::env::consts::{ARCH, OS};

/// A platform with a prebuilt DuckDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Platform {
    LinuxX64,
    LinuxArm64,
    MacosX64,
    MacosArm64,
}

impl Platform {
    /// The one that this program runs on.
    pub(super) fn here() -> Option<Self> {
        // The prebuilt library wants glibc.
        match (OS, ARCH, cfg!(target_env = "musl")) {
            ("linux", "x86_64", false) => Some(Self::LinuxX64),
            ("linux", "aarch64", false) => Some(Self::LinuxArm64),
            ("macos", "x86_64", _) => Some(Self::MacosX64),
            ("macos", "aarch64", _) => Some(Self::MacosArm64),
            _ => None,
        }
    }

    pub(super) fn npm_name(self) -> &'static str {
        match self {
            Self::LinuxX64 => "linux-x64",
            Self::LinuxArm64 => "linux-arm64",
            Self::MacosX64 => "darwin-x64",
            Self::MacosArm64 => "darwin-arm64",
        }
    }

    /// DuckDB's own name, part of the path of an extension.
    pub(super) fn duckdb_name(self) -> &'static str {
        match self {
            Self::LinuxX64 => "linux_amd64",
            Self::LinuxArm64 => "linux_arm64",
            Self::MacosX64 => "osx_amd64",
            Self::MacosArm64 => "osx_arm64",
        }
    }

    pub(super) fn library_file(self) -> &'static str {
        match self {
            Self::LinuxX64 | Self::LinuxArm64 => "libduckdb.so",
            Self::MacosX64 | Self::MacosArm64 => "libduckdb.dylib",
        }
    }

    /// SHA-256 of the library, where it was tested; elsewhere npm's own check has to do.
    pub(super) fn library_sha256(self) -> Option<&'static str> {
        match self {
            Self::LinuxX64 => {
                Some("fc23f12e376c47be520f75221288281906e7942e8fd6f6ce4849198ba60d0405")
            }
            Self::LinuxArm64 | Self::MacosX64 | Self::MacosArm64 => None,
        }
    }
}
