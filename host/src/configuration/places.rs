//! Whether the directories and files that a configuration names can be used: what can be known without starting.

use super::{Configuration, ConfigurationError, Setting, settings};
use crate::http::read_token;
use nix::unistd::{AccessFlags, access};
use std::path::{Path, PathBuf};

impl Configuration {
    /// Looks at every place that the settings name. Gives a sentence for each that cannot be used.
    ///
    /// # Errors
    /// Says which setting cannot be read.
    pub fn check_places(&self) -> Result<Vec<String>, ConfigurationError> {
        let mut problems = Vec::new();
        let mut check = |setting: &Setting<PathBuf>, looked: Result<(), String>| {
            if let Err(problem) = looked {
                problems.push(format!("{}: {problem}", setting.key));
            }
        };
        for setting in [
            &settings::DATA_DIR,
            &settings::DATA_PATH,
            &settings::COMPONENT_STORE,
        ] {
            check(setting, can_be_a_directory(&self.absolute_path(setting)?));
        }
        let catalog = self.absolute_path(&settings::CATALOG_PATH)?;
        check(&settings::CATALOG_PATH, can_be_a_file(&catalog));
        if let Some(watched) = self.absolute_path_or_none(&settings::WATCH_DIRECTORY)?
            && let Err(error) = std::fs::read_dir(&watched)
        {
            let (key, watched) = (settings::WATCH_DIRECTORY.key, watched.display());
            problems.push(format!("{key}: {watched} cannot be read: {error}"));
        }
        if let Some(file) = self.absolute_path_or_none(&settings::CONTROL_TOKEN_FILE)?
            && let Err(error) = read_token(&file)
        {
            problems.push(error.to_string());
        }
        Ok(problems)
    }
}

fn can_be_a_file(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!(
            "{} is a directory, and should be a file",
            path.display()
        ));
    }
    match path.parent() {
        Some(directory) => can_be_a_directory(directory),
        None => Err(format!("{} cannot be a file", path.display())),
    }
}

/// Whether a directory is there and can be written to, or can be made.
fn can_be_a_directory(path: &Path) -> Result<(), String> {
    let there = path
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or(Path::new("/"));
    let shown = there.display();
    if !there.is_dir() {
        return Err(match there == path {
            true => format!("{shown} is no directory"),
            false => format!("{} cannot be made: {shown} is no directory", path.display()),
        });
    }
    match access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok(()),
        Err(error) if there == path => Err(format!("{shown} cannot be written to: {error}")),
        Err(error) => Err(format!(
            "{} cannot be made: {shown} cannot be written to: {error}",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Machine, *};
    use std::fs;

    fn problems(directory: &Path, text: &str) -> Vec<String> {
        let machine = Machine {
            directory: directory.into(),
            host_name: "here".into(),
            processors: 1,
        };
        let path = directory.join("heplake.toml");
        let text = format!("data_dir = 'lake'\n{text}");
        let configuration = Configuration::parse(&path, &text, [], machine).unwrap();
        configuration.check_places().unwrap()
    }

    #[test]
    fn places_that_cannot_be_used_are_named_with_their_setting() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        fs::write(directory.path().join("file"), "short").unwrap();
        fs::create_dir(directory.path().join("made")).unwrap();
        for (text, expected) in [
            ("", None),
            ("ducklake.data_path = 'made'", None),
            ("components.watch_directory = 'made'", None),
            (
                "ducklake.data_path = 'file'",
                Some(format!(
                    "ducklake.data_path: {} is no directory",
                    at("file")
                )),
            ),
            (
                "ducklake.data_path = 'file/parquet'",
                Some(format!(
                    "ducklake.data_path: {} cannot be made: {} is no directory",
                    at("file/parquet"),
                    at("file")
                )),
            ),
            (
                "ducklake.catalog_path = 'made'",
                Some(format!(
                    "ducklake.catalog_path: {} is a directory, and should be a file",
                    at("made")
                )),
            ),
            (
                "components.watch_directory = 'none'",
                Some(format!(
                    "components.watch_directory: {} cannot be read: No such file or directory (os error 2)",
                    at("none")
                )),
            ),
        ] {
            let expected: Vec<String> = expected.into_iter().collect();
            assert_eq!(problems(directory.path(), text), expected, "{text}");
        }
        let missing = problems(directory.path(), "control.token_file = 'none'");
        assert!(missing[0].starts_with("control.token_file "), "{missing:?}");
        assert!(
            !directory.path().join("lake").exists(),
            "looking makes nothing"
        );
    }
}
