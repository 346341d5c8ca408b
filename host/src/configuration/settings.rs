//! All settings, of both halves: one document configures a site. This list is the schema
//! that a document is checked by and the text that `heplake config print` prints, so that
//! neither can lag behind the other.

use super::log_level::log_level;
use super::setting::{
    AnySetting, Compression, LogFormat, Setting, byte_count, compression, count, data_permissions,
    duration, edge_name, factor, flag, host, log_format, path, path_or_none, port, sections, share,
    sql_name, trusted_keys,
};
use crate::{permissions::DataPermissions, signature::TrustedKey};
use heplake_format::EdgeName;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};
use tracing_subscriber::filter::Targets;

const DAY_S: u64 = 24 * 60 * 60;
const YEAR_S: u64 = 366 * DAY_S;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// Declares each setting as a constant and lists them all, in the order they are printed.
macro_rules! settings {
    ($($name:ident: $meaning:ty = $read:expr, $key:literal $(or $alias:literal)?, $default:literal, $reason:literal;)*) => {
        $(
            #[doc = $reason]
            pub static $name: Setting<$meaning> = Setting {
                key: $key,
                aliases: &[$($alias)?],
                default: $default,
                reason: $reason,
                read: $read,
            };
        )*

        /// Every setting, in the order they are printed.
        pub static ALL: &[&dyn AnySetting] = &[$(&$name),*];
    };
}

settings! {
DATA_DIR: PathBuf = path, "data_dir", "/var/lib/heplake",
"Where the lake is kept. A relative path, here and in other settings, starts in the directory of the configuration file; in a variable it is refused, since it would mean another place wherever the service is started.";

DATA_PERMISSIONS: DataPermissions = data_permissions, "data_permissions", "0640",
"Rights of the files of the lake: data files, commits and the catalog. Directories are 0750 for 0640, 0755 for 0644, 0700 for 0600. Calls are private, so that other users of the host do not read them; put those who shall into the group of this service's user. Files that are there keep their rights.";

DRAIN_TIMEOUT: Duration = duration::<100, DAY_S>, "drain_timeout", "25s",
"How long a service that was told to stop goes on writing what it has received. Then it ends, and says how many packets and rows are lost. Kubernetes kills after 30 s and systemd after 90 s, without a word: with more time for those, set this higher.";

EDGE_NAME: EdgeName = edge_name, "edge.name", "{host_name}",
"Name of this edge: part of the name of every file it writes. Two edges that write to one lake need two names, and so do two edges on one host: the second one is refused at its start.";

CATALOG_PATH: PathBuf = path, "ducklake.catalog_path", "{data_dir}/homer_catalog.sqlite",
"The DuckLake catalog, an SQLite file; created if absent. Give this path to any DuckDB to read the lake.";

DATA_PATH: PathBuf = path, "ducklake.data_path", "{data_dir}/parquet",
"Where data files and commits are written. An edge and its lake must name the same place.";

LAKE_NAME: String = sql_name, "ducklake.lake_name", "homer_lake",
"Name of the lake in SQL: SELECT … FROM homer_lake.hep_proto_1_call. The name that dashboards made for Homer use.";

BATCH_SIZE: usize = count::<1, 10_000_000>, "ducklake.batch_size", "500000",
"Rows after which an edge commits before the interval is over: bounds its memory. Small numbers make small files, and each file costs every later query.";

BATCH_BYTES: u64 = byte_count::<MIB, TIB>, "ducklake.batch_bytes", "256MiB",
"Bytes of data files after which an edge commits likewise: as many rows as ducklake.batch_size are tens of GB where payloads have 60 kB. While the store is slow or away workers stop at twice as many rows or bytes.";

FLUSH_INTERVAL: Duration = duration::<100, DAY_S>, "ducklake.flush_interval" or "ducklake.flush_interval_sec", "15s",
"How often an edge commits: a packet can be queried two seconds after that at the latest. Shorter makes more and smaller files.";

COMPRESSION: Compression = compression, "ducklake.compression", "snappy",
"Compression of the data files: snappy, as the storage layout says, or zstd, which is smaller and slower.";

WORKER_COUNT: usize = count::<1, 128>, "writer.worker_count", "{worker_count}",
"Threads that parse and write, each with its own components. Half the processors, at most 4: one does hundreds of thousands of messages a second, and queries need the rest.";

QUEUE_SIZE: usize = count::<1024, 100_000_000>, "writer.queue_size", "200000",
"Packets that may wait for all workers; there is room for 1024 for each in any case. When it is full TCP senders wait and UDP packets are dropped and counted.";

UDP_ENABLE: bool = flag, "ingest.udp.enable", "true",
"Whether HEP is received over UDP.";

UDP_HOST: IpAddr = host, "ingest.udp.host", "0.0.0.0",
"Address to listen on. All, since capture agents run on other machines; HEP has no authentication, so let a firewall admit the agents only, or name one address. Nothing can be read here.";

UDP_PORT: u16 = port, "ingest.udp.port", "9060",
"HEP's customary port.";

UDP_RECEIVE_BUFFER: u64 = byte_count::<4096, { 1 << 30 }>, "ingest.udp.receive_buffer_bytes", "32MiB",
"Socket buffer to ask for: what arrives while all workers are busy. The kernel grants up to net.core.rmem_max.";

TCP_ENABLE: bool = flag, "ingest.tcp.enable", "true",
"Whether HEP is received over TCP.";

TCP_HOST: IpAddr = host, "ingest.tcp.host", "0.0.0.0",
"Address to listen on; see ingest.udp.host.";

TCP_PORT: u16 = port, "ingest.tcp.port", "9060",
"HEP's customary port.";

TCP_MAX_CONNECTIONS: usize = count::<1, 1_000_000>, "ingest.tcp.max_connections", "1024",
"Connections at a time: each holds the start of one packet, 64 KiB at most, and while all workers are busy up to 320 KiB that wait for one. Further ones are closed and counted.";

TCP_IDLE_TIMEOUT: Duration = duration::<1000, { 7 * DAY_S }>, "ingest.tcp.idle_timeout", "5m",
"A connection that is silent for so long is closed. Agents reconnect, but lose a packet each time, so not shorter than quiet times of a small site.";

MAX_AGE: Duration = duration::<1000, { 100 * YEAR_S }>, "ingest.max_age", "3653d",
"A packet whose time is further back is stored under the time it was received, and its own kept in data_extra. Ten years, so that old captures can be replayed.";

MAX_SKEW: Duration = duration::<0, YEAR_S>, "ingest.max_skew", "24h",
"A packet whose time is further ahead is stored under the time it was received: no clock is a day wrong and means it.";

STORE_KEEP_ALIVES: bool = flag, "ingest.store_keep_alives", "false",
"Whether keep-alives (CRLF, NULs, STUN) get a row. They are counted in any case, and outnumber calls on a quiet site.";

SANDBOX_DEADLINE: Duration = duration::<10, 60>, "sandbox.deadline", "1s",
"How long a component may take for one batch of up to 512 packets before it is stopped: a thousand times what it needs. Packets that run out of it together are tried again in fewer, each with its share, and 30 ms for one alone.";

SANDBOX_MEMORY: u64 = byte_count::<{ 8 * MIB }, { 4096 * MIB }>, "sandbox.memory_limit", "64MiB",
"Memory that one instance of a component may grow to. A batch needs a few MiB, and with less than 8 MiB the shipped components do not start or fail on large batches.";

CONTROL_ENABLE: bool = flag, "control.enable", "true",
"Whether components can be listed, staged and activated over HTTP, on a listener of its own: `heplake component` asks there.";

CONTROL_HOST: IpAddr = host, "control.host", "127.0.0.1",
"Address of that listener. This machine only: whoever reaches it decides how packets are read. Any other address needs control.token_file.";

CONTROL_PORT: u16 = port, "control.port", "9061",
"Beside HEP's port, so that it is found.";

CONTROL_TOKEN_FILE: Option<PathBuf> = path_or_none, "control.token_file", "",
"File with the token that requests must carry (Authorization: Bearer …), its owner's alone. A file, so that no listing of the configuration shows it. Empty: none is asked for, which is refused unless control.host is loopback.";

HTTP_ENABLE: bool = flag, "http.enable", "true",
"Whether queries, health and metrics are served over HTTP.";

HTTP_HOST: IpAddr = host, "http.host", "127.0.0.1",
"Address to serve on. This machine only, since whoever reaches it can read every call; put an authenticating proxy before it.";

HTTP_PORT: u16 = port, "http.port", "8080",
"The customary port of a service behind a proxy.";

QUERY_DEADLINE: Duration = duration::<10, DAY_S>, "query.deadline", "30s",
"A query that takes longer is stopped: nobody waits for it any more.";

QUERY_MEMORY: u64 = byte_count::<{ 64 * MIB }, TIB>, "query.memory_limit", "2GiB",
"Memory of all queries together. A query that needs more fails with an error; nothing else does.";

QUERY_THREADS: usize = count::<1, 1024>, "query.threads", "{half_the_processors}",
"Threads of all queries together. Half the processors, since packets cannot wait and queries can.";

QUERY_MAX_ROWS: usize = count::<1, 100_000_000>, "query.max_rows", "100000",
"Rows that an answer holds at most; a longer one is cut and says so.";

QUERY_MAX_BYTES: u64 = byte_count::<4096, TIB>, "query.max_bytes", "256MiB",
"Bytes that an answer holds at most; a longer one is cut and says so. More than anybody reads, and a payload may have 64 KiB. An answer is sent while it is made, so this costs no memory, but it must be read before query.deadline.";

REGISTER_INTERVAL: Duration = duration::<10, 3600>, "lake.register_interval", "1s",
"How often the lake looks for new commits. A look that finds none lists one directory an edge.";

EXTENSION_DIRECTORY: Option<PathBuf> = path_or_none, "duckdb.extension_directory", "",
"Where DuckDB's signed extensions ducklake and sqlite_scanner lie. Empty: `extensions` beside the program, else where it was built; where neither is, DuckDB's own directory, to which DuckDB downloads what is missing.";

LOG_LEVEL: Targets = log_level, "log.level", "info",
"What is logged: error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\". `warning` is read as warn, and `err` as error.";

LOG_FORMAT: LogFormat = log_format, "log.format", "text",
"text for people, json for machines: one object a line. On standard error.";

COMPONENT_STORE: PathBuf = path, "components.store_directory", "{data_dir}/components/{edge.name}",
"Where an edge keeps components by digest, which of them serves, and what was done to them. It belongs to one edge; a second one is refused. Its user's alone, since machine code is kept there.";

TRUSTED_KEYS: Vec<TrustedKey> = trusted_keys, "components.trusted_keys", "[]",
"Ed25519 public keys, as `heplake component keygen` prints them. If there is any, only components that one of them signed are staged. Empty: whoever reaches the control listener is trusted.";

WATCH_DIRECTORY: Option<PathBuf> = path_or_none, "components.watch_directory", "",
"A directory in which `*.wasm`, with `*.wasm.sig` beside it where keys are trusted, is staged as soon as it is there whole. Empty: none.";

WATCH_ACTIVATES: bool = flag, "components.watch_activates", "false",
"Whether what was staged from there is activated if nothing objects. Somebody should look at the report first. Needs components.watch_directory.";

CANARY_BATCHES: usize = count::<0, 1_000_000>, "components.canary_batches", "4",
"Batches that one worker does with a new component, and is watched, before the others get it, and so many more as hold 512 packets: 2048 packets and 5 ms at full rate. 0 for none.";

CANARY_TIME: Duration = duration::<1, 3600>, "components.canary_time", "250ms",
"How long the canary is watched at most: on a quiet site so many packets may take hours, and the golden packets have been through it anyway. For no canary set components.canary_batches to 0.";

MAX_ROWS_DIFFERENT: f64 = share, "components.max_rows_different", "0.25",
"Share of the golden packets' rows that a new component may make otherwise without being forced: a correction changes some, a mistake changes most.";

MAX_REJECTED_MORE: f64 = share, "components.max_rejected_more", "0.01",
"Share of packets that it may reject beyond what is rejected now; of golden packets, and of a canary's.";

MAX_SLOWDOWN: f64 = factor, "components.max_slowdown", "2.0",
"How many times as long a packet may take in the whole pipeline. Twice leaves a site with headroom on its feet.";

BREAKER_FAULTS: usize = count::<0, { u32::MAX as u64 }>, "components.breaker_faults", "1000",
"Faults of a component within the window, of all workers, after which it is called no more: the version before takes over, or payloads are stored raw. Each fault costs time and puts a packet into hep_rejected. 0: never.";

BREAKER_WINDOW: Duration = duration::<1000, 3600>, "components.breaker_window", "1m",
"The window of components.breaker_faults.";

COMPONENTS: BTreeMap<String, Value> = sections, "components", "{}",
"A table for each component, handed to it as it is: [components.sip] and so on. The component says what it understands. As a variable: JSON.";
}
