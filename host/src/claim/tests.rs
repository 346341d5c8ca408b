use super::*;
use crate::configuration::{Configuration, Machine};

/// A host, with a data directory of its own.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn settings(&self, takes_over_name: bool) -> EdgeSettings {
        let machine = Machine {
            directory: self.0.path().into(),
            host_name: "fra".into(),
            processors: 2,
        };
        let data_dir = self.0.path().display().to_string();
        let variables = [("HEPLAKE_DATA_DIR".to_owned(), data_dir)];
        let configuration = Configuration::read(None, variables, machine).unwrap();
        EdgeSettings {
            takes_over_name,
            ..EdgeSettings::resolve(&configuration).unwrap()
        }
    }

    async fn take(&self, store: &Store) -> Result<HeldName, NameError> {
        HeldName::take(store.clone(), &self.settings(false)).await
    }

    async fn take_over(&self, store: &Store) -> HeldName {
        let settings = self.settings(true);
        HeldName::take(store.clone(), &settings).await.unwrap()
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

const PATH: &str = "claims/fra.json";

#[tokio::test]
async fn a_second_edge_of_one_name_and_data_directory_is_refused_and_told_who_has_it() {
    let ((_directory, one_store), (_other, other_store)) = (store(), store());
    let host = Host::new();
    let held = host.take(&one_store).await.unwrap();
    // Whatever store it writes to: it would have the same identity.
    for store in [&one_store, &other_store] {
        let error = host.take(store).await.unwrap_err();
        assert!(matches!(error, NameError::InUse { .. }), "{error}");
        let holder = format!(
            "in use on this host by the edge `fra`, process {} (lock file {}",
            std::process::id(),
            host.0.path().join("edges/fra/lock").display()
        );
        assert!(error.to_string().contains(&holder), "{error}");
        assert!(error.to_string().contains("edge.name"), "{error}");
    }
    drop(held);
    host.take(&one_store).await.unwrap();
}

#[tokio::test]
async fn an_edge_of_another_host_is_refused_while_the_name_is_anothers() {
    let (_directory, store) = store();
    let (one, other) = (Host::new(), Host::new());
    let held = one.take(&store).await.unwrap();
    let error = other.take(&store).await.unwrap_err();
    assert!(matches!(error, NameError::Claimed { .. }), "{error}");
    let holder = format!("process {} on host", std::process::id());
    for part in [&*holder, PATH, "set edge.name", "--take-over-name"] {
        assert!(
            error.to_string().contains(part),
            "{part} is not in: {error}"
        );
    }
    // Killed: the same edge starts again, as often as need be, and another still does not.
    drop(held);
    for _ in 0..3 {
        drop(one.take(&store).await.unwrap());
        let error = other.take(&store).await.unwrap_err();
        assert!(matches!(error, NameError::Claimed { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_name_whose_edge_has_ended_is_free() {
    let (_directory, store) = store();
    let (one, other) = (Host::new(), Host::new());
    let held = one.take(&store).await.unwrap();
    held.release().await;
    drop(held);
    let held = other.take(&store).await.unwrap();
    let error = one.take(&store).await.unwrap_err();
    assert!(matches!(error, NameError::Claimed { .. }), "{error}");
    held.release().await;
    drop(held);
    one.take(&store).await.unwrap();
}

#[tokio::test]
async fn a_name_is_taken_over_when_that_is_asked_for_and_not_given_back_by_the_one_before() {
    let (_directory, store) = store();
    let (one, other) = (Host::new(), Host::new());
    let before = one.take(&store).await.unwrap();
    let held = other.take_over(&store).await;
    assert!(before.holder().await.starts_with("process "));
    assert!(held.holder().await.starts_with("a copy of this edge"));
    // The one before does not know yet: its end frees nothing.
    before.release().await;
    drop(before);
    let error = one.take(&store).await.unwrap_err();
    assert!(matches!(error, NameError::Claimed { .. }), "{error}");
}

#[tokio::test]
async fn a_claim_that_cannot_be_read_refuses_an_edge_until_it_is_told_to_take_over() {
    let (_directory, store) = store();
    for bytes in [&b""[..], b"{", b"\xff", br#"{"format": 99}"#, b"[1]"] {
        let host = Host::new();
        store.replace(PATH, bytes.into()).await.unwrap();
        let error = host.take(&store).await.unwrap_err();
        assert!(matches!(error, NameError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("--take-over-name"), "{error}");
        drop(host.take_over(&store).await);
        host.take(&store).await.unwrap();
    }
}

#[tokio::test]
async fn a_path_of_a_claim_that_is_no_file_refuses_an_edge_and_is_named() {
    let (directory, store) = store();
    let (host, path) = (Host::new(), directory.path().join(PATH));
    let refused = |error: NameError| {
        assert!(matches!(error, NameError::Unreadable { .. }), "{error}");
        for part in [PATH, "a directory", "remove it"] {
            assert!(
                error.to_string().contains(part),
                "{part} is not in: {error}"
            );
        }
    };
    fs::create_dir_all(&path).unwrap();
    refused(host.take(&store).await.unwrap_err());
    let taken = HeldName::take(store.clone(), &host.settings(true)).await;
    refused(taken.unwrap_err());
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(directory.path().join("absent"), &path).unwrap();
    refused(host.take(&store).await.unwrap_err());
    drop(host.take_over(&store).await);
    host.take(&store).await.unwrap();
}

#[tokio::test]
async fn a_claim_of_gigabytes_is_refused_unread() {
    let (directory, store) = store();
    let path = directory.path().join(PATH);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(&path).unwrap().set_len(3 << 30).unwrap();
    let host = Host::new();
    let error = host.take(&store).await.unwrap_err();
    assert!(matches!(error, NameError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("3221225472 bytes"), "{error}");
    host.take_over(&store).await.release().await;
    Host::new().take(&store).await.unwrap();
}

#[tokio::test]
async fn a_claim_of_any_time_is_told() {
    let (_directory, store) = store();
    for since_us in [0, LAST_TIME_US, u64::MAX] {
        let claim = Claim {
            format: CLAIM_FORMAT,
            edge: "fra".parse().unwrap(),
            identity: EdgeIdentity::of_bits(1),
            host: "\x1b[2J".into(),
            process: 1,
            since_us,
            ended_us: None,
        };
        store.replace(PATH, claim.to_json().into()).await.unwrap();
        let error = Host::new().take(&store).await.unwrap_err().to_string();
        assert!(error.contains("process 1 on host"), "{error}");
        assert!(!error.contains('\x1b'), "{error:?}");
    }
}

#[tokio::test]
async fn an_identity_is_its_owners_alone_and_one_that_is_damaged_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, store) = store();
    let host = Host::new();
    drop(host.take(&store).await.unwrap());
    let path = host.0.path().join("edges/fra/identity");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    for damage in [&b""[..], b"me", b"\xff\xff"] {
        fs::write(&path, damage).unwrap();
        let error = host.take(&store).await.unwrap_err();
        assert!(matches!(error, NameError::Identity { .. }), "{error}");
        assert!(error.to_string().contains("edges/fra/identity"), "{error}");
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_named_with_its_setting() {
    let (_directory, store) = store();
    let host = Host::new();
    fs::write(host.0.path().join("edges"), "a file").unwrap();
    let error = host.take(&store).await.unwrap_err().to_string();
    assert!(
        error.contains("edges/fra") && error.contains("data_dir"),
        "{error}"
    );
}
