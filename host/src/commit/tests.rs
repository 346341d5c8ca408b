use super::*;
use crate::{data_file::SealedFile, worker::WorkedFile};
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
