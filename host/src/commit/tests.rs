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
