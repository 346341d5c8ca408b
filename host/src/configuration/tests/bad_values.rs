//! Of every setting the values that it refuses, and what it says of them.

use super::*;

/// A setting, and what is said of each value, written as TOML.
type Bad = (&'static str, &'static [(&'static str, &'static str)]);

const A_PATH: &str = "a path";
const NO_SHELL: &str = "a path as it is: `~` and variables are not replaced here";
const NO_URL: &str = "a path of this machine, no URL: object stores cannot be used yet";
const NO_SPACE: &str = "a path without white space before and behind it";
const A_FLAG: &str = "true or false";
const A_PORT: &str = "a port from 1 to 65535, or 0 for any that is free";
const AN_ADDRESS: &str = "an IP address of this machine, such as 127.0.0.1, 0.0.0.0 (all) or ::";
const A_SHARE: &str = "a number from 0 (none) to 1 (all)";
const A_NAME: &str = "1 to 64 letters, digits, `_` or `-`, starting with a letter or digit";
const A_LAKE: &str = "1 to 63 of a-z, 0-9 and _, starting with a letter";
const NO_KEYWORD: &str = "a name that means nothing else in SQL, such as homer_lake";
const RIGHTS: &str = "\"0600\" (the owner alone), \"0640\" (its group reads too) or \"0644\" (all users of the host read too)";
const A_LEVEL: &str =
    "error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\"";
const KEYS: &str =
    "a list of public keys, each the base64 of 32 octets that `heplake component keygen` prints";

const PATHS: &[(&str, &str)] = &[
    ("''", A_PATH),
    ("7", A_PATH),
    ("[]", A_PATH),
    ("\"/a\\u0000b\"", A_PATH),
    ("'~/lake'", NO_SHELL),
    ("'$HOME/lake'", NO_SHELL),
    ("'/srv/${SITE}'", NO_SHELL),
    ("'s3://bucket/lake'", NO_URL),
    ("'file:///srv/lake'", NO_URL),
    ("' /srv/lake'", NO_SPACE),
    ("'/srv/lake '", NO_SPACE),
];

/// Where nothing means none.
const PATHS_OR_NONE: &[(&str, &str)] = &[
    ("7", A_PATH),
    ("false", A_PATH),
    ("'~/lake'", NO_SHELL),
    ("'$HOME/lake'", NO_SHELL),
    ("'s3://bucket/lake'", NO_URL),
    ("' '", NO_SPACE),
];

const FLAGS: &[(&str, &str)] = &[
    ("1", A_FLAG),
    ("'true'", A_FLAG),
    ("'yes'", A_FLAG),
    ("''", A_FLAG),
];

const HOSTS: &[(&str, &str)] = &[
    ("''", AN_ADDRESS),
    ("'*'", AN_ADDRESS),
    ("'example.org'", AN_ADDRESS),
    ("'127.0.0.1:9060'", AN_ADDRESS),
    ("'10.0.0.0/8'", AN_ADDRESS),
    ("'[::1'", AN_ADDRESS),
    ("'[127.0.0.1]'", AN_ADDRESS),
    ("'239.0.0.1'", AN_ADDRESS),
    ("'ff02::1'", AN_ADDRESS),
    ("'255.255.255.255'", AN_ADDRESS),
    ("0", AN_ADDRESS),
];

const PORTS: &[(&str, &str)] = &[
    ("-1", A_PORT),
    ("65536", A_PORT),
    ("80.5", A_PORT),
    ("''", A_PORT),
    ("'9060'", A_PORT),
    ("'9060/udp'", A_PORT),
];

/// Values that are no duration; zero and too much are each setting's own.
macro_rules! durations {
    ($from:literal to $to:literal; $($more:literal),*) => {{
        const EXPECTED: &str = concat!(
            "a duration from ", $from, " to ", $to,
            ", such as \"15s\", \"500ms\", \"2m\" or a number of seconds"
        );
        &[
            ("''", EXPECTED),
            ("'15'", EXPECTED),
            ("'15 parsecs'", EXPECTED),
            ("-1", EXPECTED),
            ("true", EXPECTED),
            ("inf", EXPECTED),
            $(($more, EXPECTED),)*
        ]
    }};
}

macro_rules! sizes {
    ($from:literal to $to:literal; $($more:literal),*) => {{
        const EXPECTED: &str = concat!(
            "a number of bytes from ", $from, " to ", $to,
            ", such as \"64MiB\", \"2GB\" or 67108864"
        );
        &[
            ("''", EXPECTED),
            ("0", EXPECTED),
            ("'64'", EXPECTED),
            ("'64M'", EXPECTED),
            ("'1.5GiB'", EXPECTED),
            ("'-1GiB'", EXPECTED),
            ("'99999999999TiB'", EXPECTED),
            ("1.5", EXPECTED),
            $(($more, EXPECTED),)*
        ]
    }};
}

macro_rules! counts {
    ($from:literal to $to:literal; $($more:literal),*) => {{
        const EXPECTED: &str = concat!("a whole number from ", $from, " to ", $to);
        &[
            ("-1", EXPECTED),
            ("1.5", EXPECTED),
            ("''", EXPECTED),
            ("'7'", EXPECTED),
            $(($more, EXPECTED),)*
        ]
    }};
}

const BAD: &[Bad] = &[
    ("data_dir", PATHS),
    (
        "data_permissions",
        &[
            ("''", RIGHTS),
            ("'0666'", RIGHTS),
            ("'0400'", RIGHTS),
            ("'rw-r-----'", RIGHTS),
            ("640", RIGHTS),
        ],
    ),
    (
        "drain_timeout",
        durations!("100ms" to "1day"; "0", "'0s'", "'99ms'", "'2d'"),
    ),
    (
        "edge.name",
        &[
            ("''", A_NAME),
            ("7", A_NAME),
            ("'a b'", A_NAME),
            ("'-a'", A_NAME),
            ("'../a'", A_NAME),
            ("'sbc.example.org'", A_NAME),
            (
                "'12345678901234567890123456789012345678901234567890123456789012345'",
                A_NAME,
            ),
        ],
    ),
    ("ducklake.catalog_path", PATHS),
    ("ducklake.data_path", PATHS),
    (
        "ducklake.lake_name",
        &[
            ("''", A_LAKE),
            ("'Lake'", A_LAKE),
            ("'my-lake'", A_LAKE),
            ("'1lake'", A_LAKE),
            ("'select'", NO_KEYWORD),
            ("'table'", NO_KEYWORD),
            ("'main'", NO_KEYWORD),
            ("'system'", NO_KEYWORD),
            ("'temp'", NO_KEYWORD),
        ],
    ),
    (
        "ducklake.batch_size",
        counts!("1" to "10000000"; "0", "10000001"),
    ),
    (
        "ducklake.batch_bytes",
        sizes!("1048576" to "1099511627776"; "1048575", "'2TiB'"),
    ),
    (
        "ducklake.flush_interval",
        durations!("100ms" to "1day"; "0", "'0s'", "'99ms'", "'2d'"),
    ),
    (
        "ducklake.compression",
        &[
            ("''", "\"snappy\" or \"zstd\""),
            ("'gzip'", "\"snappy\" or \"zstd\""),
            ("'ZSTD'", "\"snappy\" or \"zstd\""),
            ("'none'", "\"snappy\" or \"zstd\""),
            ("3", "\"snappy\" or \"zstd\""),
        ],
    ),
    ("writer.worker_count", counts!("1" to "128"; "0", "129")),
    (
        "writer.queue_size",
        counts!("1024" to "100000000"; "0", "1023", "100000001"),
    ),
    ("ingest.udp.enable", FLAGS),
    ("ingest.udp.host", HOSTS),
    ("ingest.udp.port", PORTS),
    (
        "ingest.udp.receive_buffer_bytes",
        sizes!("4096" to "1073741824"; "4095", "'2GiB'"),
    ),
    ("ingest.tcp.enable", FLAGS),
    ("ingest.tcp.host", HOSTS),
    ("ingest.tcp.port", PORTS),
    (
        "ingest.tcp.max_connections",
        counts!("1" to "1000000"; "0", "1000001"),
    ),
    (
        "ingest.tcp.idle_timeout",
        durations!("1s" to "7days"; "0", "'0s'", "'999ms'", "'8d'"),
    ),
    (
        "ingest.max_age",
        durations!("1s" to "100years 2months 14days 2h 52m 48s"; "0", "'0s'", "'200y'"),
    ),
    ("ingest.max_skew", durations!("0s" to "1year 18h"; "'2y'")),
    ("ingest.store_keep_alives", FLAGS),
    (
        "sandbox.deadline",
        durations!("10ms" to "1m"; "0", "'0s'", "'9ms'", "'61s'"),
    ),
    (
        "sandbox.memory_limit",
        sizes!("8388608" to "4294967296"; "8388607", "'5GiB'"),
    ),
    ("control.enable", FLAGS),
    ("control.host", HOSTS),
    ("control.port", PORTS),
    ("control.token_file", PATHS_OR_NONE),
    ("http.enable", FLAGS),
    ("http.host", HOSTS),
    ("http.port", PORTS),
    (
        "query.deadline",
        durations!("10ms" to "1day"; "0", "'0s'", "'9ms'", "'2d'"),
    ),
    (
        "query.memory_limit",
        sizes!("67108864" to "1099511627776"; "'63MiB'", "'2TiB'"),
    ),
    ("query.threads", counts!("1" to "1024"; "0", "1025")),
    (
        "query.max_rows",
        counts!("1" to "100000000"; "0", "100000001"),
    ),
    (
        "query.max_bytes",
        sizes!("4096" to "1099511627776"; "0", "4095", "'2TiB'"),
    ),
    (
        "lake.register_interval",
        durations!("10ms" to "1h"; "0", "'0s'", "'9ms'", "'2h'"),
    ),
    ("duckdb.extension_directory", PATHS_OR_NONE),
    (
        "log.level",
        &[
            ("''", A_LEVEL),
            ("3", A_LEVEL),
            ("'verbose'", A_LEVEL),
            ("'info,'", A_LEVEL),
            ("'heplake_host'", A_LEVEL),
            (
                "'inof'",
                concat!(
                    "error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\"",
                    "; did you mean info?"
                ),
            ),
            (
                "'warnings'",
                concat!(
                    "error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\"",
                    "; did you mean warn?"
                ),
            ),
            (
                "'info,heplake_host=debgu'",
                concat!(
                    "error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\"",
                    "; did you mean debug?"
                ),
            ),
            (
                "'info,debug'",
                concat!(
                    "error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\"",
                    "; one level for all is enough"
                ),
            ),
            (
                "'info,heplake_hots=debug'",
                concat!(
                    "error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\"",
                    "; the parts of Heplake are heplake, heplake_edge, heplake_host, heplake_lake"
                ),
            ),
            (
                "'info,=debug'",
                concat!(
                    "error, warn, info, debug, trace, off, or a list such as \"info,heplake_host=debug\"",
                    "; the parts of Heplake are heplake, heplake_edge, heplake_host, heplake_lake"
                ),
            ),
        ],
    ),
    (
        "log.format",
        &[
            ("''", "\"text\" or \"json\""),
            ("'JSON'", "\"text\" or \"json\""),
            ("'logfmt'", "\"text\" or \"json\""),
            ("true", "\"text\" or \"json\""),
        ],
    ),
    ("components.store_directory", PATHS),
    (
        "components.trusted_keys",
        &[
            ("''", KEYS),
            ("['']", KEYS),
            ("['c2hvcnQ=']", KEYS),
            ("[7]", KEYS),
            ("'/etc/heplake/key.pub'", KEYS),
        ],
    ),
    ("components.watch_directory", PATHS_OR_NONE),
    ("components.watch_activates", FLAGS),
    (
        "components.canary_batches",
        counts!("0" to "1000000"; "1000001"),
    ),
    (
        "components.canary_time",
        durations!("1ms" to "1h"; "0", "'0s'", "'2h'"),
    ),
    (
        "components.max_rows_different",
        &[
            ("25", A_SHARE),
            ("1.01", A_SHARE),
            ("-0.1", A_SHARE),
            ("'25 %'", A_SHARE),
            ("nan", A_SHARE),
        ],
    ),
    (
        "components.max_rejected_more",
        &[
            ("1.01", A_SHARE),
            ("-0.1", A_SHARE),
            ("'1 %'", A_SHARE),
            ("''", A_SHARE),
        ],
    ),
    (
        "components.max_slowdown",
        &[
            ("0", "a number from 1 (as much) to 1000"),
            ("0.99", "a number from 1 (as much) to 1000"),
            ("1001", "a number from 1 (as much) to 1000"),
            ("'2x'", "a number from 1 (as much) to 1000"),
            ("inf", "a number from 1 (as much) to 1000"),
        ],
    ),
    (
        "components.breaker_faults",
        counts!("0" to "4294967295"; "4294967296"),
    ),
    (
        "components.breaker_window",
        durations!("1s" to "1h"; "0", "'0s'", "'999ms'", "'2h'"),
    ),
    (
        "components",
        &[
            ("3", "a table for each component, without nulls"),
            ("[]", "a table for each component, without nulls"),
            ("{ sip = 3 }", "a table for each component, without nulls"),
        ],
    ),
];

#[test]
fn each_setting_refuses_values_that_mean_nothing_and_says_what_it_takes() {
    for (key, values) in BAD {
        for (value, expected) in *values {
            let refused = toml(&format!("{key} = {value}\n")).map(|_| ());
            let Err(error) = refused else {
                panic!("{key} = {value} is accepted");
            };
            let said = error.strip_prefix(&format!("heplake.toml:1: {key} is "));
            let said = said.and_then(|said| said.split_once(", but must be "));
            let said = said.map(|(_, said)| said);
            assert_eq!(said, Some(*expected), "{key} = {value}: {error}");
        }
    }
}

#[test]
fn no_setting_is_without_bad_values() {
    let listed: HashSet<&str> = BAD.iter().map(|(key, _)| *key).collect();
    assert_eq!(listed.len(), BAD.len(), "a setting is listed twice");
    for setting in settings::ALL {
        let key = setting.key();
        assert!(
            listed.contains(key),
            "{key}: list the values that it refuses"
        );
    }
    assert_eq!(listed.len(), settings::ALL.len());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (text, expected) in [
        (
            "ingest.udp.enable = false\ningest.tcp.enable = false\n",
            "ingest.udp.enable and ingest.tcp.enable are both false, so that nothing could be received: enable one",
        ),
        (
            "http.port = 9061\n",
            "control.port and http.port are both 9061, at addresses that overlap: give one of them another port",
        ),
        (
            "ingest.tcp.port = 8080\n",
            "ingest.tcp.port and http.port are both 8080, at addresses that overlap: give one of them another port",
        ),
        (
            "ingest.tcp.host = '::'\ningest.tcp.port = 9061\n",
            "ingest.tcp.port and control.port are both 9061, at addresses that overlap: give one of them another port",
        ),
        (
            "components.watch_activates = true\n",
            "components.watch_activates is true, and no directory is watched: set components.watch_directory, or components.watch_activates to false",
        ),
        (
            "components.watch_directory = '/var/lib/heplake/components/sbc-1-example-org'\n",
            "components.watch_directory is the store, components.store_directory: watch a directory of its own",
        ),
    ] {
        let configuration = toml(text).unwrap();
        let error = EdgeSettings::resolve(&configuration).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn ports_that_are_not_in_each_others_way_are_accepted() {
    for text in [
        // UDP and TCP are two.
        "ingest.udp.port = 9061\ningest.tcp.port = 9060\n",
        "control.port = 8080\nhttp.host = '127.0.0.2'\n",
        "control.port = 8080\nhttp.enable = false\n",
        "control.port = 0\nhttp.port = 0\ningest.tcp.port = 0\n",
        "ingest.tcp.host = '::1'\ningest.tcp.port = 8080\n",
    ] {
        assert!(
            EdgeSettings::resolve(&toml(text).unwrap()).is_ok(),
            "{text}"
        );
    }
}
