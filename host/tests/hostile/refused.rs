//! Components that are refused before they see a packet.

use crate::{
    case::{Case, SHORT, WIDE},
    guest::{Guest, PARSER, ROUTER},
};

const FIELD: &str = r#"{"name":"text","kind":"text"}"#;

/// What is refused as a parser, and a part of what the host says of it.
pub(crate) fn parsers() -> Vec<Case> {
    let good = || Guest::parser();
    let described = |from: &str, to: &str| {
        assert!(PARSER.contains(from), "{from}");
        good().describing(PARSER.replace(from, to))
    };
    let bytes = good().bytes();
    let mut cases = vec![
        // What is no component.
        Case::refused("no WebAssembly", "is a text file", b"MZ or what".to_vec(), "not a valid WebAssembly component"),
        Case::refused("nothing", "has no bytes", Vec::new(), "not a valid WebAssembly component"),
        Case::refused("truncated", "ends in its middle", bytes[..bytes.len() / 2].to_vec(), "not a valid WebAssembly component"),
        Case::refused("one bit", "has a bit of its header turned over", turned(&bytes, 4), "not a valid WebAssembly component"),
        Case::refused("core module", "is a core module, no component", raw(r#"(module (func (export "parse")))"#), "not a valid WebAssembly component"),
        Case::refused("too large", "has more than 64 MiB", vec![0; (64 << 20) + 1], "more than the 67108864 that are loaded"),
        // Imports of any kind.
        Case::refused("imports a function", "wants to read a clock", Guest { component: r#"(import "now" (func (result u64)))"#, ..good() }.bytes(), "it imports `now`"),
        Case::refused("imports an interface", "wants WASI's files", Guest { component: r#"(import "wasi:filesystem/types@0.2.0" (instance))"#, ..good() }.bytes(), "it imports `wasi:filesystem/types@0.2.0`"),
        Case::refused("imports a module", "wants code that it did not bring", Guest { component: r#"(import "code" (core module))"#, ..good() }.bytes(), "it imports `code`"),
        Case::refused("imports a component", "wants another component", Guest { component: r#"(import "other" (component))"#, ..good() }.bytes(), "root-level component imports are not supported"),
        Case::refused("imports a type", "wants a resource of the host's", Guest { component: r#"(import "handle" (type (sub resource)))"#, ..good() }.bytes(), "it imports `handle`"),
        // Features that no parser needs.
        Case::refused("memory64", "has a memory of 64-bit addresses", Guest { fields: "(memory i64 1)", ..good() }.bytes(), "not a valid WebAssembly component"),
        Case::refused("shared memory", "shares memory with threads", Guest { fields: "(memory 1 1 shared)", ..good() }.bytes(), "not a valid WebAssembly component"),
        Case::refused("atomics", "waits for another thread", Guest { fields: "(func (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))", ..good() }.bytes(), "not a valid WebAssembly component"),
        Case::refused("relaxed SIMD", "computes what depends on the machine", Guest { fields: "(func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0))))", ..good() }.bytes(), "not a valid WebAssembly component"),
        Case::refused("exceptions", "throws", Guest { fields: "(tag $t) (func (throw $t))", ..good() }.bytes(), "not a valid WebAssembly component"),
        Case::refused("garbage collection", "has structures that the host would have to collect", Guest { fields: "(type $s (struct (field i32)))", ..good() }.bytes(), "not a valid WebAssembly component"),
        // Another contract.
        Case::refused("nothing exported", "exports nothing", raw("(component)"), "there is no function `parse`"),
        Case::refused("a router's exports", "is a router", Guest::router().bytes(), "there is no function `parse`"),
        Case::refused("other type", "has a `parse` that takes and returns nothing", other_type(), "`parse` has another type"),
        // On load.
        Case::refused("trap on load", "traps in its start function", Guest { fields: "(func $s unreachable) (start $s)", ..good() }.bytes(), "its `instantiate` failed: trapped: wasm `unreachable`"),
        Case::refused("loop on load", "never leaves its start function", Guest { fields: "(func $s (loop $l (br $l))) (start $s)", ..good() }.bytes(), "its `instantiate` failed: stopped at its deadline").within(SHORT),
        Case::refused("recursion on load", "calls itself without end in its start function", Guest { fields: "(func $s (call $s)) (start $s)", ..good() }.bytes(), "its `instantiate` failed: trapped: call stack exhausted"),
        Case::refused("data outside of memory", "lays data where it has no memory", Guest { fields: r#"(data (i32.const 0x7fff0000) "x")"#, ..good() }.bytes(), "its `instantiate` failed: trapped: out of bounds memory access"),
        Case::refused("large memory", "starts with more memory than it may have", Guest { memory: r#"(memory (export "memory") 60000)"#, ..good() }.bytes(), "ran out of the memory it may use"),
        Case::refused("many memories", "has twenty memories of which each is small enough", Guest { fields: MEMORIES, ..good() }.bytes(), "ran out of the memory it may use"),
        Case::refused("large table", "has a table of ten million entries", Guest { fields: "(table 10000000 funcref)", ..good() }.bytes(), "which exceeds the limit of 40000"),
        Case::refused("many tables", "has thirty tables of 1000 entries", Guest { fields: TABLES, ..good() }.bytes(), "ran out of the memory it may use"),
        // Calls before the first packet.
        Case::refused("trap on configure", "traps in `configure`", Guest { configure: "unreachable", ..good() }.bytes(), "its `configure` failed: trapped: wasm `unreachable`"),
        Case::refused("loop on configure", "never leaves `configure`", Guest { configure: "(loop $l (br $l))", ..good() }.bytes(), "its `configure` failed: stopped at its deadline").within(SHORT),
        Case::refused("endless refusal", "refuses its configuration with a megabyte of text", Guest { configure: "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (call $alloc (i32.const 1000000))) (memory.fill (i32.load (i32.const 20)) (i32.const 27) (i32.const 1000000)) (i32.store (i32.const 24) (i32.const 1000000)) (return (i32.const 16))", ..good() }.bytes(), "it refuses its configuration: \\u{1b}"),
        Case::refused("no result", "returns from `configure` what is neither well nor an error", Guest { configure: "(i32.store8 (i32.const 16) (i32.const 7)) (return (i32.const 16))", ..good() }.bytes(), "its `configure` failed: returned what cannot be read: invalid expected discriminant"),
        Case::refused("trap on describe", "traps in `describe`", Guest { describe: "unreachable", ..good() }.bytes(), "its `describe` failed: trapped: wasm `unreachable`"),
        Case::refused("loop on describe", "never leaves `describe`", Guest { describe: "(loop $l (br $l))", ..good() }.bytes(), "its `describe` failed: stopped at its deadline").within(SHORT),
        Case::refused("allocator that traps", "traps in `cabi_realloc`", Guest { realloc: "unreachable", ..good() }.bytes(), "its `configure` failed: trapped: wasm `unreachable`"),
        Case::refused("allocator that loops", "never leaves `cabi_realloc`", Guest { realloc: "(loop $l (br $l))", ..good() }.bytes(), "its `configure` failed: stopped at its deadline").within(SHORT),
        Case::refused("allocator out of memory", "gives out memory that it does not have", Guest { realloc: "(return (i32.const 0x7ffffff8))", ..good() }.bytes(), "its `configure` failed: returned what cannot be read"),
        // Descriptions.
        Case::refused("no text", "describes itself in bytes that are not UTF-8", Guest { describe: "(i32.store8 (i32.const 1024) (i32.const 255))", ..good() }.bytes(), "its `describe` failed: returned what cannot be read: invalid utf-8"),
        Case::refused("text that is not there", "describes itself beyond the end of its memory", Guest { describe: "(i32.store (i32.const 32) (i32.const -8))", ..good() }.bytes(), "its `describe` failed: returned what cannot be read"),
        Case::refused("text without end", "describes itself in 40 MB", Guest { describe: "(i32.store (i32.const 32) (call $alloc (i32.const 40000000))) (i32.store (i32.const 36) (i32.const 40000000))", ..good() }.bytes(), "its `describe` failed: returned what cannot be read").within(WIDE),
        Case::refused("no JSON", "describes itself in prose", good().describing("I am a parser.").bytes(), "its description cannot be used: expected value"),
        Case::refused("deep JSON", "describes itself in ten thousand nested lists", good().describing(PARSER.replace(FIELD, &"[".repeat(10_000))).bytes(), "its description cannot be used"),
        Case::refused("a million fields", "has a million fields", million_fields().bytes(), "its description cannot be used: it has 30000").within(WIDE),
        Case::refused("many fields", "has 300 fields", described(FIELD, &numbered(300)).bytes(), "its description cannot be used: 300 fields, not 1 to 256"),
        Case::refused("no field", "has none", described(FIELD, "").bytes(), "0 fields, not 1 to 256"),
        Case::refused("doubled field", "has a field twice", described(FIELD, &format!("{FIELD},{FIELD}")).bytes(), "the field `text` is doubled or misnamed"),
        Case::refused("misnamed field", "has a field that is a piece of SQL", described(r#""name":"text""#, r#""name":"a\" ; DROP TABLE""#).bytes(), "the field `a\" ; DROP TABLE` is doubled or misnamed"),
        Case::refused("unknown kind", "has a field of a kind that nobody knows", described(r#""kind":"text""#, r#""kind":"function""#).bytes(), "unknown variant `function`"),
        Case::refused("name that is a path", "is named like a file elsewhere", described(r#""hostile""#, r#""../../etc/passwd""#).bytes(), "`../../etc/passwd` is no name"),
        Case::refused("endless name", "has a name of 600 kB", Guest { memory: r#"(memory (export "memory") 20)"#, ..described("hostile", &"x".repeat(600_000)) }.bytes(), "is no name"),
        Case::refused("name in capitals", "has a name that is another one to some file systems", described("hostile", "SIP").bytes(), "`SIP` is no name"),
        Case::refused("no version", "has a version that is none", described("0.1.0", "latest").bytes(), "`latest` is no version"),
        Case::refused("many protocol types", "accepts a hundred thousand protocol types", described("[200]", &format!("[{}0]", "1,".repeat(100_000))).bytes(), "100001 protocol types, not 1 to 256"),
        Case::refused("no protocol type", "accepts none", described("[200]", "[]").bytes(), "0 protocol types, not 1 to 256"),
        Case::refused("protocol type beyond HEP's", "accepts the protocol type 4096", described("[200]", "[4096]").bytes(), "the protocol type `4096` is doubled or more than 255"),
        Case::refused("doubled protocol type", "accepts one twice", described("[200]", "[7,7]").bytes(), "the protocol type `7` is doubled or more than 255"),
        Case::refused("doubled context", "asks for the same field of the envelope twice", described(r#""fields""#, r#""context":["node_id","node_id"],"fields""#).bytes(), "the context field `node_id` is doubled or misnamed"),
        Case::refused("doubled verdict", "has a verdict twice", described(r#"{"name":"broken","class":"refused"}"#, r#"{"name":"broken","class":"refused"},{"name":"broken","class":"aside"}"#).bytes(), "the verdict `broken` is doubled or misnamed"),
        Case::refused("the host's verdict", "names a verdict as the host names a fault", described("broken", "component_trap").bytes(), "the verdict `component_trap` is doubled or misnamed"),
    ];
    cases.push(Case::refused(
        "names in a trap",
        "has a function with a name of 100 kB that traps",
        Guest {
            fields: long_name().leak(),
            ..good()
        }
        .bytes(),
        "its `instantiate` failed: trapped: wasm `unreachable`",
    ));
    cases
}

/// What is refused as a router.
pub(crate) fn routers() -> Vec<Case> {
    let described = |from: &str, to: &str| {
        assert!(ROUTER.contains(from), "{from}");
        Guest::router().describing(ROUTER.replace(from, to)).bytes()
    };
    let reads = vec![r#""text""#; 300].join(",");
    let tables = vec![r#"{"name":"hostile_rows","columns":[]}"#; 100].join(",");
    let columns = vec![r#"{"name":"text","type":"VARCHAR"}"#; 300].join(",");
    let members = vec![r#"{"key":"*","from":["envelope.*"]}"#; 2000].join(",");
    vec![
        Case::refused(
            "a parser's exports",
            "is a parser",
            Guest::parser().bytes(),
            "there is no function `route`",
        ),
        Case::refused(
            "trap on describe",
            "traps in `describe`",
            Guest {
                describe: "unreachable",
                ..Guest::router()
            }
            .bytes(),
            "its `describe` failed: trapped",
        ),
        Case::refused(
            "name that is a path",
            "is named like a file elsewhere",
            described(r#""hostile-router""#, r#""a/../b""#),
            "`a/../b` is no name",
        ),
        Case::refused(
            "no version",
            "has a version that is none",
            described("0.1.0", "1"),
            "`1` is no version",
        ),
        Case::refused(
            "doubled reads",
            "reads one field 300 times",
            described(r#"["text"]"#, &format!("[{reads}]")),
            "300 fields to read, more than 256",
        ),
        Case::refused(
            "many tables",
            "writes a hundred tables",
            described(
                r#"[{"name":"hostile_rows""#,
                &format!(r#"[{tables},{{"name":"hostile_rows""#),
            ),
            "101 tables, not 1 to 64",
        ),
        Case::refused(
            "doubled table",
            "writes a table twice",
            described(
                r#"[{"name":"hostile_rows""#,
                r#"[{"name":"hostile_rows","columns":[]},{"name":"hostile_rows""#,
            ),
            "the table `hostile_rows` is doubled",
        ),
        Case::refused(
            "many columns",
            "has a table of 300 columns more",
            described(r#""columns":["#, &format!(r#""columns":[{columns},"#)),
            "304 columns, more than 256",
        ),
        Case::refused(
            "many members",
            "has two thousand times all fields in one JSON column",
            described(
                r#""columns":["#,
                &format!(
                    r#""columns":[{{"name":"data_extra","type":"JSON","members":[{members}]}},"#
                ),
            ),
            "2000 members, more than 256",
        ),
    ]
}

fn raw(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// With a bit of a byte turned over.
fn turned(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x40;
    bytes
}

fn other_type() -> Vec<u8> {
    let text = r#"(component
        (core module $m (func (export "parse")))
        (core instance $i (instantiate $m))
        (func (export "parse") (canon lift (core func $i "parse"))))"#;
    raw(text)
}

fn numbered(count: usize) -> String {
    let fields = (0..count).map(|number| format!(r#"{{"name":"f{number}","kind":"text"}}"#));
    fields.collect::<Vec<_>>().join(",")
}

fn long_name() -> String {
    let name = "x".repeat(100_000);
    format!("(func ${name} unreachable) (start ${name})")
}

/// A description of a million fields, made when it is asked for: a component that brought
/// it along would be as long.
fn million_fields() -> Guest {
    let head = PARSER.find(FIELD).unwrap();
    let (at, field_bytes) = (1024 + head, FIELD.len());
    let describe = format!(
        "(global.set $to (call $alloc (i32.const 31000000)))
        (i32.store (i32.const 32) (global.get $to))
        (memory.copy (global.get $to) (i32.const 1024) (i32.const {head}))
        (global.set $to (i32.add (global.get $to) (i32.const {head})))
        (loop $field
          (memory.copy (global.get $to) (i32.const {at}) (i32.const {field_bytes}))
          (global.set $to (i32.add (global.get $to) (i32.const {field_bytes})))
          (i32.store8 (global.get $to) (i32.const 44))
          (global.set $to (i32.add (global.get $to) (i32.const 1)))
          (br_if $field (i32.lt_u (global.get $to) (i32.add (i32.load (i32.const 32)) (i32.const 30000000)))))
        (i32.store (i32.const 36) (i32.sub (global.get $to) (i32.load (i32.const 32))))"
    );
    Guest {
        fields: "(global $to (mut i32) (i32.const 0))",
        describe: describe.leak(),
        ..Guest::parser()
    }
}

const MEMORIES: &str = "
    (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20)
    (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20) (memory 20)
    (memory 20)";

const TABLES: &str = "
    (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref)
    (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref)
    (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref)
    (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref)
    (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref)
    (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref) (table 1000 funcref)";
