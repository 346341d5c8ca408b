//! What an edge has committed: is every message there, and there once?

use crate::Failed;
use heplake_format::Commit;
use parquet::{
    column::reader::get_typed_column_reader,
    data_type::Int64Type,
    file::reader::{FileReader, SerializedFileReader},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// The column that has a message's number.
const NUMBER: &str = "timestamp";

/// Rows that were committed, and the messages that they are of.
pub(crate) struct Committed {
    directory: PathBuf,
    first_us: u64,
    pub(crate) rows: u64,
    messages: Messages,
    /// By their file's number among those of a commit, table and date: each worker has one.
    rows_by_part: BTreeMap<u16, u64>,
}

impl Committed {
    /// Of an edge whose data path is `directory`, of messages whose times begin at `first_us`.
    pub(crate) fn new(directory: &Path, first_us: u64) -> Self {
        Self {
            directory: directory.into(),
            first_us,
            rows: 0,
            messages: Messages::default(),
            rows_by_part: BTreeMap::new(),
        }
    }

    /// Looks at the commits that are there, and removes their files: ten minutes at full rate
    /// would fill a disk. `sent` says how many messages have been sent once these are read.
    pub(crate) fn take(&mut self, sent: impl Fn() -> u64) -> Result<(), Failed> {
        let Ok(commits) = fs::read_dir(self.directory.join("commits/soak")) else {
            return Ok(());
        };
        for entry in commits {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let commit = Commit::from_json(&fs::read(&path)?)?;
            for file in &commit.files {
                let data = self.directory.join(file.path.to_string());
                let times = times(&data)?;
                if times.len() as u64 != file.record_count {
                    return Err(format!(
                        "{} has {} rows with a time, and its commit says {}",
                        file.path,
                        times.len(),
                        file.record_count
                    )
                    .into());
                }
                let sent = sent();
                for time in times {
                    let number = u64::try_from(time).ok();
                    let number = number.and_then(|time| time.checked_sub(self.first_us));
                    self.messages.come(number, sent);
                }
                self.rows += file.record_count;
                *self.rows_by_part.entry(file.path.part).or_default() += file.record_count;
                fs::remove_file(data)?;
            }
            // The last one stays: an edge goes on from it.
            fs::rename(&path, path.with_extension("counted"))?;
        }
        Ok(())
    }

    /// Whether every message of so many was committed once, and each of so many workers had
    /// some; says so.
    pub(crate) fn is_each_once(&self, sent: u64, workers: usize) -> bool {
        println!(
            "{sent} sent, {} rows committed: {}",
            self.rows, self.messages
        );
        let parts = &self.rows_by_part;
        if workers > 1 {
            println!("rows by part, which each worker has one of: {parts:?}");
        }
        self.messages.are_each_once(sent) && self.rows == sent && parts.len() >= workers
    }
}

/// The times of a data file's rows, µs since 1970.
fn times(path: &Path) -> Result<Vec<i64>, Failed> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let mut columns = schema.columns().iter();
    let column = columns.position(|column| column.name() == NUMBER);
    let column = column.ok_or_else(|| format!("{} has no {NUMBER}", path.display()))?;
    let mut times = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let rows = usize::try_from(group.metadata().num_rows())?;
        let mut column = get_typed_column_reader::<Int64Type>(group.get_column_reader(column)?);
        let mut levels = Vec::new();
        column.read_records(rows, Some(&mut levels), None, &mut times)?;
    }
    Ok(times)
}

/// Messages by number, those that have come.
#[derive(Default)]
struct Messages {
    /// Below this all have come. What is lost keeps it where it is.
    complete: u64,
    /// From there on, a bit each.
    bits: VecDeque<u64>,
    once: u64,
    again: u64,
    /// Rows whose number no message has that was sent.
    of_none: u64,
}

impl Messages {
    fn come(&mut self, number: Option<u64>, sent: u64) {
        let Some(number) = number.filter(|number| *number < sent) else {
            self.of_none += 1;
            return;
        };
        let Some(place) = number.checked_sub(self.complete) else {
            self.again += 1;
            return;
        };
        let (word, bit) = ((place / 64) as usize, 1 << (place % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let word = &mut self.bits[word];
        match *word & bit {
            0 => self.once += 1,
            _ => self.again += 1,
        }
        *word |= bit;
        while self.bits.front() == Some(&u64::MAX) {
            self.bits.pop_front();
            self.complete += 64;
        }
    }

    fn are_each_once(&self, sent: u64) -> bool {
        // All are below `sent`, so that as many different ones are all there are.
        self.once == sent && self.again == 0 && self.of_none == 0
    }
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            once,
            again,
            of_none,
            ..
        } = self;
        write!(
            f,
            "{once} different messages, {again} rows of one that was there already, {of_none} of none that was sent"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Messages;

    #[test]
    fn one_lost_and_one_doubled_are_not_each_once() {
        let each = || (0..200).rev();
        let lost = || each().filter(|number| *number != 70);
        for (what, numbers, expected) in [
            ("in any order", each().collect::<Vec<u64>>(), true),
            ("one lost", lost().collect(), false),
            ("one doubled", each().chain([199]).collect(), false),
            ("one doubled long since", each().chain([3]).collect(), false),
            ("one lost, one doubled", lost().chain([71]).collect(), false),
            ("one never sent", each().chain([200]).collect(), false),
            ("one for another", lost().chain([200]).collect(), false),
        ] {
            let mut messages = Messages::default();
            for number in numbers {
                messages.come(Some(number), 200);
            }
            assert_eq!(messages.are_each_once(200), expected, "{what}: {messages}");
        }
        let mut messages = Messages::default();
        messages.come(None, 200);
        assert!(!messages.are_each_once(0), "of a time before the first");
    }
}
