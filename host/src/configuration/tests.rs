mod bad_values;

use super::*;
use crate::permissions::DataPermissions;
use serde_json::json;
use std::{collections::HashSet, time::Duration};

fn machine() -> Machine {
    Machine {
        directory: "/here".into(),
        host_name: "sbc-1.example.org".into(),
        processors: 16,
    }
}

fn parse(name: &str, text: &str, variables: &[(&str, &str)]) -> Result<Configuration, String> {
    let variables = variables
        .iter()
        .map(|&(name, value)| (name.to_string(), value.to_string()));
    Configuration::parse(Path::new(name), text, variables, machine())
        .map_err(|error| error.to_string())
}

fn toml(text: &str) -> Result<Configuration, String> {
    parse("heplake.toml", text, &[])
}

fn edge(configuration: &Configuration) -> EdgeSettings {
    EdgeSettings::resolve(configuration).unwrap()
}

#[test]
fn nothing_written_means_the_defaults() {
    let settings = edge(&toml("").unwrap());
    assert_eq!(settings.name.as_str(), "sbc-1-example-org");
    assert_eq!(settings.data_path, Path::new("/var/lib/heplake/parquet"));
    assert_eq!(settings.udp, Some("0.0.0.0:9060".parse().unwrap()));
    assert_eq!(settings.tcp, Some("0.0.0.0:9060".parse().unwrap()));
    assert_eq!(settings.worker_count, 4);
    assert_eq!(settings.flush_interval, Duration::from_secs(15));
    assert_eq!(settings.max_age, Duration::from_secs(3653 * 86_400));
    assert_eq!(settings.memory_bytes_max, 64 << 20);
    assert!(settings.components.is_empty());
    assert_eq!(
        settings.component_settings.store_directory,
        Path::new("/var/lib/heplake/components/sbc-1-example-org")
    );
}

#[test]
fn each_edge_has_a_store_of_components_of_its_own_unless_another_is_named() {
    let former = Some(PathBuf::from("/d/components"));
    for (text, directory, expected) in [
        ("", "/d/components/sbc-1-example-org", &former),
        ("edge.name = '7'\n", "/d/components/7", &former),
        ("edge.name = '{data_dir}'\n", "", &None),
        ("components.store_directory = '/s'\n", "/s", &None),
    ] {
        let Ok(configuration) = toml(&format!("data_dir = '/d'\n{text}")) else {
            assert_eq!(directory, "", "{text}");
            continue;
        };
        let settings = edge(&configuration).component_settings;
        assert_eq!(settings.store_directory, Path::new(directory));
        assert_eq!(settings.former_store_directory, *expected);
    }
}

#[test]
fn rights_of_files_are_those_that_let_nobody_but_the_owner_write() {
    let get = |text: &str| {
        toml(text)?
            .get(&settings::DATA_PERMISSIONS)
            .map_err(|error| error.to_string())
    };
    assert_eq!(get(""), Ok(DataPermissions::Group));
    for (text, permissions) in [
        ("'0600'", DataPermissions::Owner),
        ("'640'", DataPermissions::Group),
        ("'0644'", DataPermissions::Everybody),
    ] {
        assert_eq!(get(&format!("data_permissions = {text}")), Ok(permissions));
    }
    for text in [
        "'0660'",
        "'0666'",
        "'0400'",
        "'rw-r-----'",
        "''",
        "640",
        "0o640",
    ] {
        let error = get(&format!("data_permissions = {text}")).unwrap_err();
        assert!(error.contains("\"0640\" (its group reads too)"), "{error}");
    }
    let variable = [("HEPLAKE_DATA_PERMISSIONS", "0600")];
    let configuration = parse("x.toml", "", &variable).unwrap();
    let permissions = configuration.get(&settings::DATA_PERMISSIONS).unwrap();
    assert_eq!(permissions, DataPermissions::Owner);
}

#[test]
fn takes_the_document_of_the_storage_layout_to_the_letter() {
    let text = r#"{
      "ducklake": {
        "catalog_path": "/data/homer/homer_catalog.sqlite",
        "data_path": "/data/homer/parquet",
        "lake_name": "homer_lake",
        "batch_size": 1000,
        "flush_interval": "10s"
      }
    }"#;
    let configuration = parse("homer.json", text, &[]).unwrap();
    let settings = edge(&configuration);
    assert_eq!(settings.data_path, Path::new("/data/homer/parquet"));
    assert_eq!(settings.batch_size, 1000);
    assert_eq!(settings.flush_interval, Duration::from_secs(10));
    let catalog = configuration.absolute_path(&settings::CATALOG_PATH);
    assert_eq!(
        catalog.unwrap(),
        Path::new("/data/homer/homer_catalog.sqlite")
    );
}

#[test]
fn paths_follow_the_data_directory_and_start_at_the_root() {
    let configuration = toml("data_dir = 'lake'").unwrap();
    assert_eq!(
        edge(&configuration).data_path,
        Path::new("/here/lake/parquet")
    );
}

#[test]
fn a_relative_path_starts_in_the_directory_of_the_file() {
    for (name, text, expected) in [
        ("heplake.toml", "data_dir = 'lake'", "/here/lake/parquet"),
        (
            "sub/heplake.toml",
            "data_dir = 'lake'",
            "/here/sub/lake/parquet",
        ),
        (
            "/etc/heplake/heplake.toml",
            "data_dir = '../lake'",
            "/etc/heplake/../lake/parquet",
        ),
        (
            "/etc/heplake.json",
            r#"{"ducklake": {"data_path": "parquet"}}"#,
            "/etc/parquet",
        ),
        ("/etc/heplake.toml", "data_dir = '/srv'", "/srv/parquet"),
    ] {
        let configuration = parse(name, text, &[]).unwrap();
        assert_eq!(
            edge(&configuration).data_path,
            Path::new(expected),
            "{name}"
        );
    }
    let printed = parse("/etc/heplake.toml", "data_dir = 'lake'", &[])
        .unwrap()
        .print();
    assert!(
        printed.contains("\ndata_dir = \"/etc/lake\"\n"),
        "{printed}"
    );
    let says = "Written as lake, from the directory of the file.";
    assert!(printed.replace("\n# ", " ").contains(says), "{printed}");
}

#[test]
fn a_relative_path_in_a_variable_is_refused() {
    for (variable, key) in [
        ("HEPLAKE_DATA_DIR", "data_dir"),
        ("HEPLAKE_CONTROL_TOKEN_FILE", "control.token_file"),
        (
            "HEPLAKE_COMPONENTS_WATCH_DIRECTORY",
            "components.watch_directory",
        ),
    ] {
        let error = parse("heplake.toml", "", &[(variable, "lake")]).unwrap_err();
        assert_eq!(
            error,
            format!(
                "the environment variable {variable}: {key} is \"lake\", but must be a path from the root: there is no file that a relative one could start at"
            )
        );
        assert!(parse("heplake.toml", "", &[(variable, "/lake")]).is_ok());
    }
}

#[test]
fn variables_of_kubernetes_and_docker_that_tell_of_a_service_are_ignored() {
    let of_kubernetes = [
        ("HEPLAKE_SERVICE_HOST", "10.0.0.1"),
        ("HEPLAKE_SERVICE_PORT", "8080"),
        ("HEPLAKE_SERVICE_PORT_HTTP", "8080"),
        ("HEPLAKE_PORT", "tcp://10.0.0.1:8080"),
        ("HEPLAKE_PORT_9060_TCP", "tcp://10.0.0.1:9060"),
        ("HEPLAKE_PORT_9060_TCP_PROTO", "tcp"),
        ("HEPLAKE_PORT_9060_TCP_PORT", "9060"),
        ("HEPLAKE_PORT_9060_TCP_ADDR", "10.0.0.1"),
        ("HEPLAKE_PORT_9060_UDP", "udp://10.0.0.1:9060"),
        // Of a service that is called heplake-http: its URL is no http.port.
        ("HEPLAKE_HTTP_SERVICE_HOST", "fd00::1"),
        ("HEPLAKE_HTTP_SERVICE_PORT", "8080"),
        ("HEPLAKE_HTTP_PORT", "tcp://[fd00::1]:8080"),
        ("HEPLAKE_HTTP_PORT_8080_TCP", "tcp://[fd00::1]:8080"),
    ];
    let configuration = parse("heplake.toml", "", &of_kubernetes).unwrap();
    assert_eq!(configuration.service_links().len(), of_kubernetes.len());
    assert_eq!(configuration.get(&settings::HTTP_PORT).unwrap(), 8080);
    assert!(configuration.print().contains("HEPLAKE_PORT_9060_TCP_ADDR"));
    let of_docker = [
        ("HEPLAKE_EDGE_PORT", "tcp://172.17.0.5:9060"),
        ("HEPLAKE_EDGE_NAME", "/web/heplake_edge"),
        ("HEPLAKE_EDGE_ENV_LANG", "C"),
    ];
    let configuration = parse("heplake.toml", "", &of_docker).unwrap();
    assert_eq!(configuration.service_links().len(), of_docker.len());
    assert_eq!(edge(&configuration).name.as_str(), "sbc-1-example-org");
}

#[test]
fn a_variable_that_only_looks_like_that_of_a_service_is_an_error() {
    for variables in [
        // Nobody says that there is such a service.
        &[("HEPLAKE_SERVICE_PORT", "8080")][..],
        &[("HEPLAKE_PORT_9060_TCP", "tcp://10.0.0.1:9060")],
        &[("HEPLAKE_PORT", "9060")],
        &[("HEPLAKE_SERVICE_HOST", "")],
        // There is, and this is something else.
        &[
            ("HEPLAKE_SERVICE_HOST", "10.0.0.1"),
            ("HEPLAKE_INGEST_UDP_PROT", "1"),
        ],
        &[
            ("HEPLAKE_SERVICE_HOST", "10.0.0.1"),
            ("HEPLAKE_PORT_X_TCP", "1"),
        ],
        &[
            ("HEPLAKE_SERVICE_HOST", "10.0.0.1"),
            ("HEPLAKE_HTTP_PORT", "http"),
        ],
    ] {
        let error = parse("heplake.toml", "", variables).unwrap_err();
        assert!(
            error.contains("the environment variable HEPLAKE_"),
            "{error}"
        );
    }
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let json = r#"{"http": {"port": 1}, "edge": {"name": "a"}, "http": {"port": 2}}"#;
    let error = parse("heplake.json", json, &[]).unwrap_err();
    assert!(error.contains("the key \"http\" stands twice"), "{error}");
    assert!(error.contains("line 1 column"), "{error}");
    assert!(
        toml("[http]\nport = 1\nport = 2\n")
            .unwrap_err()
            .contains("duplicate key")
    );
}

#[test]
fn what_is_printed_says_each_default_for_people() {
    let printed = toml("").unwrap().print();
    for says in [
        "# Default: /var/lib/heplake.\n",
        "# Default: the name of the host, here sbc-1-example-org.\n",
        "# Default: half the processors, here 8.\n",
        "# Default: half the processors, at most 4, here 4.\n",
        "# Default: parquet in data_dir, here /var/lib/heplake/parquet.\n",
        "# Default: components/<edge.name> in data_dir, here\n# /var/lib/heplake/components/sbc-1-example-org.\n",
        "# Default: none.\n",
    ] {
        assert!(printed.contains(says), "{says}{printed}");
    }
    assert!(!printed.contains("Default: ."), "{printed}");
    assert!(!printed.contains('{'), "{printed}");
}

#[test]
fn durations_are_text_or_seconds() {
    for (written, expected_ms) in [
        ("\"15s\"", 15_000),
        ("\"500ms\"", 500),
        ("\"2m\"", 120_000),
        ("\"1h 30m\"", 5_400_000),
        ("7", 7_000),
        ("0.5", 500),
    ] {
        for key in ["flush_interval", "flush_interval_sec"] {
            let configuration = toml(&format!("ducklake.{key} = {written}")).unwrap();
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(edge(&configuration).flush_interval, expected, "{written}");
        }
    }
}

#[test]
fn variables_override_the_file() {
    let configuration = parse(
        "heplake.toml",
        "[ingest.udp]\nport = 9999\n[edge]\nname = 'a'\n",
        &[
            ("HEPLAKE_INGEST_UDP_PORT", "9061"),
            ("HEPLAKE_INGEST_TCP_ENABLE", "false"),
            ("HEPLAKE_EDGE_NAME", "7"),
            ("HEPLAKE_DUCKLAKE_FLUSH_INTERVAL_SEC", "3"),
            ("HEPLAKE_SANDBOX_MEMORY_LIMIT", "32 MiB"),
            (
                "HEPLAKE_COMPONENTS",
                r#"{"sip": {"correlation_headers": ["X-CID"]}}"#,
            ),
            ("HEPLAKE_CONFIG", "heplake.toml"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    let settings = edge(&configuration);
    assert_eq!(settings.udp.unwrap().port(), 9061);
    assert_eq!(settings.tcp, None);
    assert_eq!(settings.name.as_str(), "7");
    assert_eq!(settings.flush_interval, Duration::from_secs(3));
    assert_eq!(settings.memory_bytes_max, 32 << 20);
    let expected = json!({"correlation_headers": ["X-CID"]});
    assert_eq!(settings.components.get("sip"), Some(&expected));
}

#[test]
fn errors_say_where_what_and_what_to_do() {
    for (text, expected) in [
        (
            "[ingest.udp]\nprot = 1\n",
            "heplake.toml:2: unknown key ingest.udp.prot; did you mean ingest.udp.port?",
        ),
        (
            "[storage.ducklake]\ncatalog_path = '/x'\n",
            "heplake.toml:1: unknown key storage; `heplake config print` lists all",
        ),
        (
            "lake_name = 'x'\n",
            "heplake.toml:1: unknown key lake_name; did you mean ducklake.lake_name?",
        ),
        (
            "\ningest.udp.port = 'http'\n",
            "heplake.toml:2: ingest.udp.port is \"http\", but must be a port from 1 to 65535, or 0 for any that is free",
        ),
        (
            "http.port = 65536\n",
            "heplake.toml:1: http.port is 65536, but must be a port from 1 to 65535, or 0 for any that is free",
        ),
        (
            "ingest = 3\n",
            "heplake.toml:1: unknown key ingest; `heplake config print` lists all",
        ),
        (
            "[ducklake]\nflush_interval = '10 parsecs'\n",
            "heplake.toml:2: ducklake.flush_interval is \"10 parsecs\", but must be a duration from 100ms to 1day, such as \"15s\", \"500ms\", \"2m\" or a number of seconds",
        ),
        (
            "[ducklake]\nflush_interval = 1\nflush_interval_sec = 1\n",
            "heplake.toml:3: ducklake.flush_interval_sec is another name of ducklake.flush_interval, which is set too: remove one",
        ),
        (
            "http.host = 'example.org'\n",
            "heplake.toml:1: http.host is \"example.org\", but must be an IP address of this machine, such as 127.0.0.1, 0.0.0.0 (all) or ::",
        ),
        (
            "[components]\nsip = 3\n",
            "heplake.toml:1: components is {\"sip\":3}, but must be a table for each component, without nulls",
        ),
        (
            "writer.worker_count = 0\nquery.memory_limit = '1 GX'\n",
            "heplake.toml:1: writer.worker_count is 0, but must be a whole number from 1 to 128\nheplake.toml:2: query.memory_limit is \"1 GX\", but must be a number of bytes from 67108864 to 1099511627776, such as \"64MiB\", \"2GB\" or 67108864",
        ),
    ] {
        assert_eq!(toml(text).map(|_| ()), Err(expected.to_string()), "{text}");
    }
}

#[test]
fn a_variable_that_names_no_setting_is_an_error() {
    let error = parse("x.toml", "", &[("HEPLAKE_INGEST_UDP_PROT", "1")]).unwrap_err();
    assert_eq!(
        error,
        "the environment variable HEPLAKE_INGEST_UDP_PROT names no setting; did you mean HEPLAKE_INGEST_UDP_PORT?"
    );
    let error = parse("x.toml", "", &[("HEPLAKE_HTTP_PORT", "x")]).unwrap_err();
    assert_eq!(
        error,
        "the environment variable HEPLAKE_HTTP_PORT: http.port is \"x\", but must be a port from 1 to 65535, or 0 for any that is free"
    );
}

#[test]
fn a_document_that_cannot_be_read_says_where() {
    let error = toml("[ingest\n").unwrap_err();
    assert!(
        error.starts_with("the configuration file heplake.toml is not TOML: \n"),
        "{error}"
    );
    assert!(error.contains("line 1"), "{error}");
    let error = parse("heplake.json", "{\"edge\": ", &[]).unwrap_err();
    assert!(error.contains("line 1 column"), "{error}");
    let error = Configuration::read(Some(Path::new("/nowhere/x.toml")), [], machine());
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("the configuration file /nowhere/x.toml cannot be read: "),
        "{error}"
    );
}

#[test]
fn an_edge_that_listens_nowhere_is_refused() {
    let configuration = toml("[ingest]\nudp.enable = false\ntcp.enable = false\n").unwrap();
    let error = EdgeSettings::resolve(&configuration).unwrap_err();
    assert!(matches!(error, ConfigurationError::NoListener), "{error}");
}

#[test]
fn what_is_printed_is_read_back_as_the_same() {
    let written = [
        ("heplake.toml", ""),
        (
            "heplake.toml",
            "data_dir = \"/a \\\"b\\\"\"\nducklake.flush_interval_sec = 2.5\n\
             [components.sip-router]\ntables = [{ method = 'X', n = 1 }]\nflag = true\n",
        ),
    ];
    for (name, text) in written {
        let configuration = parse(name, text, &[]).unwrap();
        let printed = configuration.print();
        let again = toml(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(edge(&again), edge(&configuration), "{printed}");
        for setting in settings::ALL {
            assert_eq!(
                again.value(*setting),
                configuration.value(*setting),
                "{}",
                setting.key()
            );
            assert!(again.origin(*setting).is_some() || setting.key() == "components");
        }
    }
}

#[test]
fn each_default_can_be_read_and_has_a_reason() {
    let configuration = toml("").unwrap();
    for setting in settings::ALL {
        let value = configuration.value(*setting);
        assert_eq!(setting.check(&value), Ok(()), "{} {value}", setting.key());
        assert!(setting.reason().ends_with('.'), "{}", setting.key());
    }
}

#[test]
fn each_setting_has_a_key_and_a_variable_of_its_own() {
    let names = settings::ALL.iter().flat_map(|setting| {
        let aliases = setting.aliases().iter().copied();
        aliases.chain([setting.key()]).map(setting::variable)
    });
    let mut seen = HashSet::new();
    for name in names {
        assert!(seen.insert(name.clone()), "{name}");
    }
    assert!(!seen.contains(CONFIG_VARIABLE));
}

#[test]
fn host_names_become_names_of_edges() {
    for (host, name) in [
        ("a.b", "a-b"),
        ("", "edge"),
        ("-_é", "edge"),
        ("Müller", "M-ller"),
    ] {
        assert_eq!(edge_name_of(host), name);
    }
}
