use super::*;
use crate::{
    data_file::SealedFile,
    store::planned::{Planned, Step},
    worker::WorkedFile,
};
use std::thread;

/// A worker that has so many packets and files of one row each time it is sealed.
fn worker(sealed: Vec<(u64, usize)>) -> mpsc::Sender<Work> {
    let (work, mut taken) = mpsc::channel(4);
    thread::spawn(move || {
        let mut sealed = sealed.into_iter();
        while let Some(Work::Seal(_, reply)) = taken.blocking_recv() {
            let Some((packets, files)) = sealed.next() else {
                break;
            };
            let file = || WorkedFile {
                table: Table::of_protocol(1),
                date: PartitionDate::of_micros(0),
                sealed: SealedFile {
                    bytes: Bytes::from_static(b"rows"),
                    record_count: 1,
                },
                made_by: Vec::new(),
            };
            let files = (0..files).map(|_| file()).collect();
            let _ = reply.send(SealedWork { files, packets });
        }
    });
    work
}

async fn committer(directory: &tempfile::TempDir, workers: Vec<mpsc::Sender<Work>>) -> Committer {
    let store = Store::open(directory.path()).unwrap();
    let edge = "here".parse().unwrap();
    let backlog = Backlog::new(Amount::MAX);
    Committer::open(store, edge, workers, backlog)
        .await
        .unwrap()
}

#[tokio::test]
async fn packets_that_gave_no_row_count_with_the_next_that_did() {
    let directory = tempfile::tempdir().unwrap();
    let workers = vec![worker(vec![(5, 0), (2, 1), (3, 1)])];
    let mut committer = committer(&directory, workers).await;
    let mut packets = Vec::new();
    for _ in 0..3 {
        packets.push(committer.commit().await.packets);
    }
    assert_eq!(packets, [0, 7, 3]);
}

/// A worker that has one file of these bytes each time it is sealed.
fn worker_of(contents: &'static [&'static str]) -> mpsc::Sender<Work> {
    let (work, mut taken) = mpsc::channel(4);
    thread::spawn(move || {
        let mut contents = contents.iter();
        while let Some(Work::Seal(_, reply)) = taken.blocking_recv() {
            let Some(bytes) = contents.next() else {
                break;
            };
            let file = WorkedFile {
                table: Table::of_protocol(1),
                date: PartitionDate::of_micros(0),
                sealed: SealedFile {
                    bytes: Bytes::from_static(bytes.as_bytes()),
                    record_count: 1,
                },
                made_by: Vec::new(),
            };
            let files = vec![file];
            let _ = reply.send(SealedWork { files, packets: 1 });
        }
    });
    work
}

async fn committer_on(store: &Store, contents: &'static [&'static str]) -> Committer {
    let workers = vec![worker_of(contents)];
    let edge = "here".parse().unwrap();
    Committer::open(store.clone(), edge, workers, Backlog::new(Amount::MAX))
        .await
        .unwrap()
}

/// The contents of the files that the commits of a store name, by sequence.
async fn committed(store: &Store) -> Vec<(u64, Vec<String>)> {
    let edge: EdgeName = "here".parse().unwrap();
    let last = store.last_sequence(&edge).await.unwrap();
    let mut commits = Vec::new();
    for sequence in 1..=last.map_or(0, |last| last.0) {
        let path = CommitPath {
            edge: edge.clone(),
            sequence: Sequence(sequence),
        };
        let json = store.read(&path.to_string()).await.unwrap().unwrap();
        let commit = Commit::from_json(&json).unwrap();
        let mut contents = Vec::new();
        for file in commit.files {
            let bytes = store.read(&file.path.to_string()).await.unwrap().unwrap();
            assert_eq!(bytes.len() as u64, file.file_size_bytes);
            contents.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        commits.push((sequence, contents));
    }
    commits
}

#[tokio::test]
async fn two_writers_of_one_name_lose_nothing_and_replace_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for store in [Store::open(directory.path()).unwrap(), Planned::store([])] {
        // Both have found nothing, and would begin with the first sequence.
        let mut one = committer_on(&store, &["a", "b", "c"]).await;
        let mut other = committer_on(&store, &["d", "e", "f"]).await;
        for _ in 0..3 {
            one.commit().await;
            other.commit().await;
        }
        let contents = ["a", "d", "b", "e", "c", "f"];
        let expected = (1..).zip(contents.map(|bytes| vec![bytes.to_owned()]));
        assert_eq!(committed(&store).await, expected.collect::<Vec<_>>());
        let seen = |one: &Committer| one.monitor().status().other_writer.map(|other| other.times);
        assert_eq!((seen(&one), seen(&other)), (Some(2), Some(3)));
        assert_eq!(one.monitor().packets_done(), 3);
    }
}

#[tokio::test]
async fn writers_of_one_name_that_commit_at_once_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut writers = Vec::new();
    for contents in [&["a", "b"], &["c", "d"], &["e", "f"], &["g", "h"]] {
        writers.push(committer_on(&store, contents).await);
    }
    for _ in 0..2 {
        futures_util::future::join_all(writers.iter_mut().map(Committer::commit)).await;
    }
    let commits = committed(&store).await;
    let mut files = 0;
    let mut directories = vec![directory.path().join("main")];
    while let Some(path) = directories.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => files += 1,
            }
        }
    }
    assert_eq!(files, 8, "files that no commit names");
    let mut contents: Vec<String> = commits.into_iter().flat_map(|(_, files)| files).collect();
    contents.sort();
    assert_eq!(contents.concat(), "abcdefgh");
}

#[tokio::test]
async fn an_error_after_the_store_has_written_all_the_same_doubles_nothing() {
    use Step::{Fails, Writes, WritesAndFails};
    for steps in [
        vec![WritesAndFails],
        vec![Fails, WritesAndFails],
        vec![Writes, WritesAndFails],
        vec![
            WritesAndFails,
            WritesAndFails,
            WritesAndFails,
            Writes,
            WritesAndFails,
        ],
    ] {
        let store = Planned::store(steps);
        let mut committer = committer_on(&store, &["a", "b"]).await;
        committer.commit().await;
        committer.commit().await;
        let expected = [(1, vec!["a".to_owned()]), (2, vec!["b".to_owned()])];
        assert_eq!(committed(&store).await, expected);
        let status = committer.monitor().status();
        assert_eq!((status.other_writer, status.store_failure), (None, None));
    }
}

#[tokio::test]
async fn files_that_a_killed_run_left_are_not_touched_and_their_names_not_used() {
    let store = Planned::store([]);
    let path = |part| DataFilePath {
        table: Table::of_protocol(1).name,
        date: PartitionDate::of_micros(0),
        edge: "here".parse().unwrap(),
        sequence: Sequence(1),
        part,
    };
    for part in [0, 1, 3] {
        let name = path(part).to_string();
        store
            .create(&name, Bytes::from_static(b"left"))
            .await
            .unwrap();
    }
    let mut committer = committer_on(&store, &["a"]).await;
    committer.commit().await;
    assert_eq!(committed(&store).await, [(1, vec!["a".to_owned()])]);
    for (part, bytes) in [(0, "left"), (1, "left"), (2, "a"), (3, "left")] {
        let found = store.read(&path(part).to_string()).await.unwrap();
        assert_eq!(found.unwrap(), bytes, "{part}");
    }
    assert_eq!(committer.monitor().status().other_writer, None);
}

#[tokio::test]
async fn a_store_that_fails_is_told_until_it_takes_files_again() {
    let store = Planned::store([Step::Fails; 100]);
    let mut committer = committer_on(&store, &["a"]).await;
    let monitor = committer.monitor().clone();
    let commit = committer.commit();
    tokio::pin!(commit);
    let fails = async {
        while monitor.status().store_failure.is_none() {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    };
    tokio::select! {
        committed = &mut commit => panic!("{committed:?}"),
        () = fails => {}
    }
    let status = monitor.status();
    let failure = status.store_failure.unwrap();
    assert!(
        failure.error.contains("could not be written"),
        "{failure:?}"
    );
    let expected = Committed {
        packets: 1,
        rows: 1,
        files: 1,
    };
    assert_eq!(status.storing, Some(expected));
    assert_eq!(monitor.packets_done(), 0);
    assert_eq!(commit.await, expected);
    let status = monitor.status();
    assert_eq!((status.store_failure, status.storing), (None, None));
    assert!(status.last_committed_us.is_some());
    assert_eq!(monitor.packets_done(), 1);
}

/// A committer that keeps its last sequence in a directory, and has one file a commit.
async fn keeping(store: &Store, directory: &tempfile::TempDir) -> Committer {
    let kept = KeptSequence::below(directory.path());
    committer_on(store, &["a", "b"]).await.keeping(kept).await
}

fn commit_path(sequence: u64) -> String {
    let edge = "here".parse().unwrap();
    let sequence = Sequence(sequence);
    CommitPath { edge, sequence }.to_string()
}

#[tokio::test]
async fn a_number_that_was_used_is_never_used_again_though_its_commit_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Planned::store([]);
    for _ in 0..2 {
        keeping(&store, &directory).await.commit().await;
    }
    for sequence in [1, 2] {
        store.delete(&commit_path(sequence)).await.unwrap();
    }
    for expected in [3, 4] {
        keeping(&store, &directory).await.commit().await;
        let edge = "here".parse().unwrap();
        let last = store.last_sequence(&edge).await.unwrap();
        assert_eq!(last, Some(Sequence(expected)));
    }
}

#[tokio::test]
async fn numbers_that_were_used_before_they_were_kept_are_kept_from_the_first_start_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = Planned::store([]);
    committer_on(&store, &["a"]).await.commit().await;
    drop(keeping(&store, &directory).await);
    store.delete(&commit_path(1)).await.unwrap();
    keeping(&store, &directory).await.commit().await;
    assert!(store.exists(&commit_path(2)).await.unwrap());
    assert!(!store.exists(&commit_path(1)).await.unwrap());
}

#[tokio::test]
async fn a_kept_number_that_is_damaged_or_cannot_be_written_stops_no_commit() {
    for damage in ["", "none", "18446744073709551615", "-1"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("last_sequence");
        std::fs::write(&path, damage).unwrap();
        let store = Planned::store([]);
        keeping(&store, &directory).await.commit().await;
        assert!(store.exists(&commit_path(1)).await.unwrap(), "{damage:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("last_sequence/full")).unwrap();
    let store = Planned::store([]);
    let mut committer = keeping(&store, &directory).await;
    committer.commit().await;
    committer.commit().await;
    assert_eq!(committed(&store).await.len(), 2);
}

#[tokio::test]
async fn a_commit_of_a_number_that_none_can_have_is_in_nobodys_way() {
    let store = Planned::store([]);
    for number in [i64::MAX as u64 + 1, u64::MAX] {
        let path = commit_path(number);
        store
            .create(&path, Bytes::from_static(b"{}"))
            .await
            .unwrap();
    }
    let mut committer = committer_on(&store, &["a", "b"]).await;
    committer.commit().await;
    committer.commit().await;
    let expected = [(1, vec!["a".to_owned()]), (2, vec!["b".to_owned()])];
    assert_eq!(committed(&store).await, expected);
}

#[tokio::test]
async fn rows_wait_while_the_highest_number_is_taken_and_health_says_which_file_to_remove() {
    let store = Planned::store([]);
    let highest = commit_path(i64::MAX as u64);
    let json = Bytes::from_static(b"{}");
    store.create(&highest, json).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut committer = keeping(&store, &directory).await;
    let health = committer.backlog.health().clone();
    let commit = committer.commit();
    tokio::pin!(commit);
    let raised = async {
        while !health.report().has(Code::StoreUnwritable) {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    };
    tokio::select! {
        committed = &mut commit => panic!("{committed:?}"),
        () = raised => {}
    }
    store.delete(&highest).await.unwrap();
    assert_eq!(commit.await.rows, 1);
    assert!(!health.report().has(Code::StoreUnwritable));
    assert_eq!(committed(&store).await, [(1, vec!["a".to_owned()])]);
}

/// Whether each part of the first commit's file has a file.
async fn parts(store: &Store) -> Vec<bool> {
    let mut found = Vec::new();
    for part in 0..3 {
        let path = DataFilePath {
            table: Table::of_protocol(1).name,
            date: PartitionDate::of_micros(0),
            edge: "here".parse().unwrap(),
            sequence: Sequence(1),
            part,
        };
        found.push(store.exists(&path.to_string()).await.unwrap());
    }
    found
}

#[tokio::test]
async fn the_files_of_a_try_that_another_writer_outran_are_deleted_and_only_those() {
    let directory = tempfile::tempdir().unwrap();
    // With the bytes "a" both writers find that the file is theirs: it stays with the one commit.
    for (bytes, expected) in [("b", [true, false, false]), ("a", [true, false, false])] {
        for store in [
            Store::open(&directory.path().join(bytes)).unwrap(),
            Planned::store([]),
        ] {
            let mut first = committer_on(&store, &["a"]).await;
            let second = committer_on(&store, &[]).await;
            first.commit().await;
            // It looked before the first one's commit was there.
            let file = FlushedFile {
                table: Table::of_protocol(1).name,
                date: PartitionDate::of_micros(0),
                record_count: 1,
                bytes: Bytes::from_static(bytes.as_bytes()),
                components: Vec::new(),
            };
            let flush = Flush {
                packets: 1,
                tables: Vec::new(),
                components: Vec::new(),
                files: vec![file],
            };
            let files = second.create_files(&flush, Sequence(1)).await.unwrap();
            let path = files[0].path.to_string();
            assert!(store.exists(&path).await.unwrap());
            second.delete_unnamed(&files, &commit_path(1)).await;
            assert_eq!(parts(&store).await, expected, "{bytes}");
            assert_eq!(committed(&store).await, [(1, vec!["a".to_owned()])]);
        }
    }
}

#[tokio::test]
async fn files_stay_where_the_commit_that_came_first_cannot_be_read() {
    let store = Planned::store([]);
    let path = commit_path(1);
    let mut committer = committer_on(&store, &["a"]).await;
    committer.commit().await;
    let json = store.read(&path).await.unwrap().unwrap();
    let files = Commit::from_json(&json).unwrap().files;
    store
        .replace(&path, Bytes::from_static(b"{"))
        .await
        .unwrap();
    committer.delete_unnamed(&files, &path).await;
    assert_eq!(parts(&store).await, [true, false, false]);
}
