use super::{
    planned::{Planned, Step},
    *,
};

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn the_last_sequence_is_that_of_this_edge() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (fra, ams): (EdgeName, EdgeName) = ("fra".parse().unwrap(), "ams".parse().unwrap());
    assert_eq!(store.last_sequence(&fra).await.unwrap(), None);
    for (edge, sequence) in [(&fra, 1), (&fra, 10), (&fra, 9), (&ams, 30)] {
        let path = CommitPath {
            edge: edge.clone(),
            sequence: Sequence(sequence),
        };
        let created = store.create(&path.to_string(), text("{}")).await;
        assert_eq!(created.unwrap(), Creation::Written);
    }
    for other in ["commits/fra/notes.txt", "claims/fra.json"] {
        store.create(other, Bytes::new()).await.unwrap();
    }
    assert_eq!(store.last_sequence(&fra).await.unwrap(), Some(Sequence(10)));
}

#[tokio::test]
async fn an_object_that_is_there_is_never_replaced_on_any_store() {
    let directory = tempfile::tempdir().unwrap();
    for store in [Store::open(directory.path()).unwrap(), Planned::store([])] {
        let path = "main/t/date=2026-11-22/e-1.parquet";
        let mut found = Vec::new();
        for bytes in ["rows", "rows", "sorw", "more rows", ""] {
            found.push(store.create(path, text(bytes)).await.unwrap());
            assert_eq!(store.read(path).await.unwrap().unwrap(), "rows");
        }
        use Creation::{Taken, Written};
        assert_eq!(found, [Written, Written, Taken, Taken, Taken]);
        store.replace(path, text("others")).await.unwrap();
        assert_eq!(store.read(path).await.unwrap().unwrap(), "others");
    }
}

#[tokio::test]
async fn an_object_that_was_written_though_an_error_was_answered_counts_as_written() {
    let store = Planned::store([Step::WritesAndFails, Step::Fails]);
    assert!(store.create("a", text("rows")).await.is_err());
    assert!(store.exists("a").await.unwrap());
    assert!(store.create("a", text("rows")).await.is_err());
    let again = store.create("a", text("rows")).await.unwrap();
    assert_eq!(again, Creation::Written);
}

#[tokio::test]
async fn an_object_that_is_not_there_is_none_and_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.read("commits/a/1.json").await.unwrap(), None);
    assert!(!store.exists("commits/a/1.json").await.unwrap());
}

#[test]
fn a_path_that_is_no_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(&file).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}
