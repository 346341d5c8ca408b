//! What a message costs on one core, stage by stage: in the sandbox, natively, and the
//! same rows through DuckDB. All of one run, in turns, since machines are shared and noisy.

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use clap::Parser as _;
use heplake_components::shipped;
use heplake_format::{EdgeName, Sequence, Table, TableName};
use heplake_host::{
    BATCH_PACKETS_MAX, Breaker, Checked, ContainedParser, ContainedRouter, DataFileWriter, Engine,
    Items, Limits, PacketBatch, Parse, ParserComponent, ParserSource, Pipeline, Route,
    RouterComponent, RouterSource, SealedFile, TimeWindow, configuration::Compression,
};
use heplake_sdk::Kind;
use heplake_tests::{native, native::NativeParser, native::NativeRouter, traffic::Traffic};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

/// Prints ns a message by stage, on one core, in one run.
#[derive(clap::Parser)]
#[command(name = "ingest")]
struct Arguments {
    /// Messages a round.
    #[arg(long, default_value_t = 131_072)]
    messages: usize,
    /// Rounds; the least of each stage is printed: what else runs on a machine only adds.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Messages a batch.
    #[arg(long, default_value_t = BATCH_PACKETS_MAX)]
    batch: usize,
    /// Leave out DuckDB's part.
    #[arg(long)]
    without_duckdb: bool,
    /// Which part to run over and over, for a profiler: sandbox or native.
    #[arg(long)]
    only: Option<String>,
    /// Given by cargo bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const TIME_US: u64 = 1_795_305_600_000_000;

type Failed = Box<dyn Error>;

fn main() -> Result<(), Failed> {
    let arguments = Arguments::parse();
    let mut traffic = Traffic::new(1, TIME_US);
    let size = arguments.batch.max(1);
    let batches: Vec<PacketBatch> = (0..arguments.messages.div_ceil(size))
        .map(|_| traffic.batch(size))
        .collect();
    let messages = batches.len() * size;
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();

    let engine = Engine::new()?;
    let limits = Limits::default();
    let component = |name: &str| -> Result<ParserComponent, Failed> {
        let bytes = shipped(name).ok_or("not shipped")?.bytes;
        Ok(ParserComponent::load(&engine, bytes, "{}", limits)?)
    };
    let (hep, sip) = (component("hep")?, component("sip")?);
    let router = shipped("sip-router").ok_or("not shipped")?.bytes;
    let router = RouterComponent::load(&engine, router, "{}", limits)?;

    let breaker = Arc::new(Breaker::new(0, Duration::ZERO));
    let mut sides = [
        Side {
            name: "sandbox",
            envelope: ParserSource::instantiate(&hep)?,
            parser: ParserSource::instantiate(&sip)?,
            router: RouterSource::instantiate(&router)?,
            pipeline: Pipeline::new(
                ContainedParser::new(Arc::new(hep.clone()), breaker.clone())?,
                vec![(
                    ContainedParser::new(Arc::new(sip.clone()), breaker.clone())?,
                    Some(ContainedRouter::new(Arc::new(router.clone()), breaker)?),
                )],
                TimeWindow::default(),
                false,
                1,
            )?,
            files: BTreeMap::new(),
            rounds: Vec::new(),
        },
        Side {
            name: "native",
            envelope: NativeParser::<heplake_hep::Hep>::source().instantiate()?,
            parser: NativeParser::<heplake_sip::Sip>::source().instantiate()?,
            router: NativeRouter::<heplake_sip_router::SipRouter>::source().instantiate()?,
            pipeline: native::pipeline(1),
            files: BTreeMap::new(),
            rounds: Vec::new(),
        },
    ];
    let payload_field = hep
        .description()
        .fields
        .iter()
        .position(|f| f.name == "payload");
    let payload_field = payload_field.ok_or("hep has no payload")?;
    let reads: Vec<(usize, Kind)> = router
        .description()
        .reads
        .iter()
        .filter_map(|name| {
            let fields = &sip.description().fields;
            let index = fields.iter().position(|field| field.name == *name)?;
            Some((index, fields[index].kind))
        })
        .collect();

    println!(
        "{messages} SIP messages in HEP 3, {} bytes each, batches of {size}, one thread, {} rounds",
        bytes / messages,
        arguments.rounds
    );
    if let Some(only) = &arguments.only {
        for side in sides.iter_mut().filter(|side| side.name == only) {
            for _ in 0..arguments.rounds {
                side.whole(&batches)?;
            }
        }
        return Ok(());
    }
    for _ in 0..arguments.rounds {
        for side in &mut sides {
            let round = side.round(&batches, payload_field, &reads)?;
            side.rounds.push(round);
        }
    }
    report(&sides, messages);
    if !arguments.without_duckdb {
        duckdb_path(&mut sides[1], &batches, messages, arguments.rounds.min(5))?;
    }
    Ok(())
}

/// One way of running the components.
struct Side {
    name: &'static str,
    envelope: Box<dyn Parse>,
    parser: Box<dyn Parse>,
    router: Box<dyn Route>,
    pipeline: Pipeline,
    /// Kept from round to round, as a worker keeps them from commit to commit.
    files: BTreeMap<TableName, DataFileWriter>,
    rounds: Vec<Round>,
}

/// Nanoseconds of a round.
#[derive(Clone, Copy, Default)]
struct Round {
    envelope: u128,
    parse: u128,
    route: u128,
    files: u128,
    whole: u128,
    file_bytes: usize,
}

impl Side {
    fn round(
        &mut self,
        batches: &[PacketBatch],
        payload_field: usize,
        reads: &[(usize, Kind)],
    ) -> Result<Round, Failed> {
        let mut round = Round::default();
        for batch in batches {
            let batch = &batch.clone();
            let items = Items {
                bytes: &batch.bytes,
                ends: &batch.ends,
                received: &batch.received,
                ..Items::default()
            };
            let started = Instant::now();
            let enveloped = self.envelope.parse(&items)?;
            round.envelope += started.elapsed().as_nanos();

            let (bytes, ends) = payloads(batch, &enveloped, payload_field);
            let items = Items {
                bytes: &bytes,
                ends: &ends,
                received: &batch.received,
                ..Items::default()
            };
            let started = Instant::now();
            let parsed = self.parser.parse(&items)?;
            round.parse += started.elapsed().as_nanos();

            let (text, cells) = read_fields(&parsed, reads, &bytes);
            let started = Instant::now();
            self.router.route(&text, &cells, parsed.rows() as u32)?;
            round.route += started.elapsed().as_nanos();
        }
        let whole = self.whole(batches)?;
        round.whole = whole.whole;
        round.files = whole.files;
        round.file_bytes = whole.file_bytes;
        Ok(round)
    }

    /// From bytes in memory to sealed files.
    fn whole(&mut self, batches: &[PacketBatch]) -> Result<Round, Failed> {
        let (mut round, files) = self.files(batches)?;
        round.file_bytes = files.iter().map(|(_, file)| file.bytes.len()).sum();
        Ok(round)
    }

    /// The sealed files, with what making them took.
    fn files(
        &mut self,
        batches: &[PacketBatch],
    ) -> Result<(Round, Vec<(Table, SealedFile)>), Failed> {
        let edge: EdgeName = "bench".parse()?;
        let mut round = Round::default();
        let files = &mut self.files;
        for batch in batches {
            // A worker's packets have just been received: they are in a cache.
            let batch = batch.clone();
            let started = Instant::now();
            self.pipeline.process(batch, |rows| -> Result<(), Failed> {
                let started = Instant::now();
                let table = rows.plan.table();
                let file = match files.entry(table.name.clone()) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(vacant) => {
                        vacant.insert(DataFileWriter::new(table, Compression::Snappy)?)
                    }
                };
                file.write(&rows)?;
                round.files += started.elapsed().as_nanos();
                Ok(())
            })?;
            round.whole += started.elapsed().as_nanos();
        }
        let sealing = Instant::now();
        let mut sealed = Vec::new();
        for file in files.values_mut() {
            let table = file.table().clone();
            sealed.push((table, file.seal(&edge, Sequence::FIRST, &[], || {})?));
        }
        round.files += sealing.elapsed().as_nanos();
        round.whole += sealing.elapsed().as_nanos();
        Ok((round, sealed))
    }
}

fn payloads(batch: &PacketBatch, enveloped: &Checked, field: usize) -> (Vec<u8>, Vec<u32>) {
    let (mut bytes, mut ends) = (Vec::with_capacity(batch.bytes.len()), Vec::new());
    for row in 0..enveloped.rows() {
        let payload = enveloped
            .cell(row, field)
            .resolve(&batch.bytes, enveloped.scratch());
        bytes.extend_from_slice(payload.unwrap_or_default());
        ends.push(bytes.len() as u32);
    }
    (bytes, ends)
}

fn read_fields(parsed: &Checked, reads: &[(usize, Kind)], bytes: &[u8]) -> (Vec<u8>, Vec<u64>) {
    let (mut text, mut cells) = (Vec::new(), Vec::new());
    for row in 0..parsed.rows() {
        for (field, _) in reads {
            match parsed.cell(row, *field).resolve(bytes, parsed.scratch()) {
                Some(value) => {
                    cells.push((value.len() as u64) << 32 | text.len() as u64);
                    text.extend_from_slice(value);
                }
                None => cells.push(u64::MAX),
            }
        }
    }
    (text, cells)
}

type Stage = fn(&Round) -> u128;

/// The least that a stage took, in ns a message.
fn least(rounds: &[Round], stage: Stage, messages: usize) -> f64 {
    rounds.iter().map(stage).min().unwrap_or_default() as f64 / messages as f64
}

/// What the whole takes beyond its stages.
fn between(rounds: &[Round], messages: usize) -> f64 {
    let in_stages = |round: &Round| round.envelope + round.parse + round.route + round.files;
    least(rounds, |round| round.whole, messages) - least(rounds, in_stages, messages)
}

fn report(sides: &[Side; 2], messages: usize) {
    let stages: [(&str, Stage); 5] = [
        ("envelope (hep)", |round| round.envelope),
        ("parse (sip)", |round| round.parse),
        ("route (sip-router)", |round| round.route),
        ("columns to sealed Parquet", |round| round.files),
        ("whole: bytes to sealed files", |round| round.whole),
    ];
    println!(
        "\n{:<32}{:>12}{:>12}{:>10}",
        "ns a message (least)", sides[0].name, sides[1].name, "ratio"
    );
    for (name, stage) in stages {
        let [sandbox, native] = [0, 1].map(|side| least(&sides[side].rounds, stage, messages));
        println!(
            "{name:<32}{sandbox:>12.0}{native:>12.0}{:>10.2}",
            sandbox / native
        );
    }
    let between = sides.each_ref().map(|side| between(&side.rounds, messages));
    println!(
        "{:<32}{:>12.0}{:>12.0}",
        "of it between: copies, rows", between[0], between[1]
    );
    for side in sides {
        let whole = least(&side.rounds, |round| round.whole, messages);
        let size = side.rounds.first().map_or(0, |round| round.file_bytes) / messages;
        println!(
            "{:<8} {:>10.0} messages a second a core, {size} bytes a message on disk",
            side.name,
            1e9 / whole
        );
    }
}

/// The same rows through DuckDB: Appender, then INSERT into DuckLake, on one thread.
fn duckdb_path(
    side: &mut Side,
    batches: &[PacketBatch],
    messages: usize,
    rounds: usize,
) -> Result<(), Failed> {
    let mut tables = Vec::new();
    for (table, file) in side.files(batches)?.1 {
        let batches = ParquetRecordBatchReaderBuilder::try_new(file.bytes)?
            .with_batch_size(BATCH_PACKETS_MAX)
            .build()?;
        let dated = batches.map(|rows| with_date(&rows?, TIME_US));
        tables.push((table, dated.collect::<Result<Vec<_>, Failed>>()?));
    }
    let (mut appender, mut insert) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let directory = tempfile::tempdir()?;
        let database = database()?;
        database.execute_batch(&format!(
            "SET threads = 1; LOAD sqlite_scanner; LOAD ducklake;
             ATTACH 'ducklake:sqlite:{0}/catalog.sqlite' AS lake (DATA_PATH '{0}/data/', DATA_INLINING_ROW_LIMIT 0, META_JOURNAL_MODE 'WAL');",
            directory.path().display()
        ))?;
        for (table, _) in &tables {
            let (lake, memory) = (columns_sql(table, false), columns_sql(table, true));
            let name = &table.name;
            database.execute_batch(&format!(
                "CREATE TABLE lake.{name} ({lake}); ALTER TABLE lake.{name} SET PARTITIONED BY (date);
                 CREATE TABLE {name} ({memory});"
            ))?;
        }
        let started = Instant::now();
        for (table, batches) in &tables {
            let mut to = database.appender(table.name.as_str())?;
            for batch in batches {
                to.append_record_batch(batch.clone())?;
            }
            to.flush()?;
        }
        appender.push(started.elapsed().as_nanos());
        let started = Instant::now();
        database.execute_batch("BEGIN")?;
        for (table, _) in &tables {
            let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
            let (name, columns) = (&table.name, columns.join(", "));
            database.execute_batch(&format!(
                "INSERT INTO lake.{name} SELECT {columns} FROM {name}"
            ))?;
        }
        database.execute_batch("COMMIT")?;
        insert.push(started.elapsed().as_nanos());
    }
    let nanos =
        |values: &[u128]| values.iter().min().copied().unwrap_or_default() as f64 / messages as f64;
    let (append, insert) = (nanos(&appender), nanos(&insert));
    let ours_in = |stage: Stage| least(&side.rounds, stage, messages);
    let decode = ours_in(|r| r.envelope) + ours_in(|r| r.parse) + ours_in(|r| r.route);
    let ours = ours_in(|round| round.whole) - decode;
    println!("\nthe same rows through DuckDB, one thread");
    println!("{:<32}{append:>12.0} ns a message", "Appender");
    println!("{:<32}{insert:>12.0} ns a message", "INSERT into DuckLake");
    println!(
        "{:<32}{:>12.2} times ours ({ours:.0})",
        "rows to files",
        (append + insert) / ours
    );
    println!(
        "{:<32}{:>12.2} times ours, native decoding on both sides",
        "whole path",
        (decode + append + insert) / (decode + ours)
    );
    Ok(())
}

fn database() -> Result<duckdb::Connection, Failed> {
    let extensions =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.setup/duckdb/extensions");
    let config = duckdb::Config::default()
        .with(
            "extension_directory",
            extensions.to_str().ok_or("not a path in UTF-8")?,
        )?
        .with("autoinstall_known_extensions", "false")?;
    Ok(duckdb::Connection::open_in_memory_with_flags(config)?)
}

fn columns_sql(table: &Table, date_last: bool) -> String {
    let mut columns: Vec<String> = table
        .columns
        .iter()
        .map(|c| format!("{} {}", c.name, c.column_type.sql()))
        .collect();
    if date_last {
        let at = columns
            .iter()
            .position(|column| column == "date DATE")
            .unwrap_or(0);
        let date = columns.remove(at);
        columns.push(date);
    }
    columns.join(", ")
}

/// Rows with the date of a time behind them, where the memory tables have it.
fn with_date(rows: &RecordBatch, time_us: u64) -> Result<RecordBatch, Failed> {
    const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;
    let days = i32::try_from(time_us / DAY_US)?;
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("date", DataType::Date32, true)));
    let mut arrays = rows.columns().to_vec();
    let dates = arrow::array::Date32Array::from(vec![days; rows.num_rows()]);
    arrays.push(Arc::new(dates) as ArrayRef);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
