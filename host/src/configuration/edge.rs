//! What the configuration means to an edge.

use super::{
    ComponentSettings, Compression, Configuration, ConfigurationError, listeners, settings,
};
use heplake_format::EdgeName;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Settings of an edge: total and resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeSettings {
    /// Who writes: part of every path.
    pub name: EdgeName,
    /// Where it keeps its identity, absolute.
    pub data_dir: PathBuf,
    /// Whether it takes its name over from another edge that has it.
    pub takes_over_name: bool,
    /// Root of the store, absolute.
    pub data_path: PathBuf,
    /// Where HEP is received over UDP, if it is.
    pub udp: Option<SocketAddr>,
    /// Where HEP is received over TCP, if it is.
    pub tcp: Option<SocketAddr>,
    /// Socket buffer to ask the kernel for.
    pub udp_receive_buffer_bytes: usize,
    /// TCP connections at a time.
    pub tcp_connections_max: usize,
    /// Silence after which a TCP connection is closed.
    pub tcp_idle_timeout: Duration,
    /// Threads that parse and write.
    pub worker_count: usize,
    /// Packets that wait for a worker, all together.
    pub queue_size: usize,
    /// Rows that make the edge commit before the interval is over.
    pub batch_size: usize,
    /// Bytes of data files that do likewise.
    pub batch_bytes: u64,
    /// Time between commits.
    pub flush_interval: Duration,
    /// How far back a packet's own time is believed.
    pub max_age: Duration,
    /// How far ahead a packet's own time is believed.
    pub max_skew: Duration,
    /// Compression of the data files.
    pub compression: Compression,
    /// Whether keep-alives get a row.
    pub store_keep_alives: bool,
    /// Each component's section, by its name.
    pub components: BTreeMap<String, Value>,
    /// How they are kept, tried, exchanged and cut off.
    pub component_settings: ComponentSettings,
    /// How long a component may take for one batch.
    pub deadline: Duration,
    /// Memory that one instance of a component may grow to.
    pub memory_bytes_max: usize,
}

impl EdgeSettings {
    /// Resolves them.
    ///
    /// # Errors
    /// Says which setting cannot be read, or that the edge would listen nowhere.
    pub fn resolve(configuration: &Configuration) -> Result<Self, ConfigurationError> {
        let get = configuration;
        let udp = listener(
            get.get(&settings::UDP_ENABLE)?,
            get.get(&settings::UDP_HOST)?,
            get.get(&settings::UDP_PORT)?,
        );
        let tcp = listener(
            get.get(&settings::TCP_ENABLE)?,
            get.get(&settings::TCP_HOST)?,
            get.get(&settings::TCP_PORT)?,
        );
        if udp.is_none() && tcp.is_none() {
            return Err(ConfigurationError::NoListener);
        }
        listeners::check(get)?;
        Ok(Self {
            name: get.get(&settings::EDGE_NAME)?,
            data_dir: get.absolute_path(&settings::DATA_DIR)?,
            takes_over_name: false,
            data_path: get.absolute_path(&settings::DATA_PATH)?,
            udp,
            tcp,
            udp_receive_buffer_bytes: bytes(get.get(&settings::UDP_RECEIVE_BUFFER)?),
            tcp_connections_max: get.get(&settings::TCP_MAX_CONNECTIONS)?,
            tcp_idle_timeout: get.get(&settings::TCP_IDLE_TIMEOUT)?,
            worker_count: get.get(&settings::WORKER_COUNT)?,
            queue_size: get.get(&settings::QUEUE_SIZE)?,
            batch_size: get.get(&settings::BATCH_SIZE)?,
            batch_bytes: get.get(&settings::BATCH_BYTES)?,
            flush_interval: get.get(&settings::FLUSH_INTERVAL)?,
            max_age: get.get(&settings::MAX_AGE)?,
            max_skew: get.get(&settings::MAX_SKEW)?,
            compression: get.get(&settings::COMPRESSION)?,
            store_keep_alives: get.get(&settings::STORE_KEEP_ALIVES)?,
            components: get.get(&settings::COMPONENTS)?,
            component_settings: ComponentSettings::resolve(get)?,
            deadline: get.get(&settings::SANDBOX_DEADLINE)?,
            memory_bytes_max: bytes(get.get(&settings::SANDBOX_MEMORY)?),
        })
    }
}

fn listener(enable: bool, host: IpAddr, port: u16) -> Option<SocketAddr> {
    enable.then(|| SocketAddr::new(host, port))
}

/// A size in memory; saturates where memory is addressed by less than 64 bits.
fn bytes(count: u64) -> usize {
    count.try_into().unwrap_or(usize::MAX)
}

/// Where HTTP is served, if it is.
///
/// # Errors
/// Says which setting cannot be read.
pub fn http_address(
    configuration: &Configuration,
) -> Result<Option<SocketAddr>, ConfigurationError> {
    Ok(listener(
        configuration.get(&settings::HTTP_ENABLE)?,
        configuration.get(&settings::HTTP_HOST)?,
        configuration.get(&settings::HTTP_PORT)?,
    ))
}
