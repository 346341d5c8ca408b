//! Guests as WebAssembly text: a good one, of which a hostile one replaces a part.

/// A component of one of the worlds. It bumps a pointer for memory, and starts again after
/// each call. Parts are text of a core module's function or fields.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) world: World,
    /// What `describe` returns, unless its part does otherwise.
    pub(crate) description: String,
    /// The memory that is exported; further ones may follow.
    pub(crate) memory: &'static str,
    /// Fields of the core module: functions, tables, a start function.
    pub(crate) fields: &'static str,
    /// Runs before `cabi_realloc` does its work. `$n` is the size wanted.
    pub(crate) realloc: &'static str,
    /// Runs before `configure` returns that all is well.
    pub(crate) configure: &'static str,
    /// Runs before `describe` returns the description.
    pub(crate) describe: &'static str,
    /// Runs for each item or row that starts with an X: `$i` is its number, `$cell`, `$item`
    /// and `$verdict` are where what is said of it stands.
    pub(crate) on_x: &'static str,
    /// Runs for each item or row.
    pub(crate) on_each: &'static str,
    /// Runs before a call returns in which an item or row started with an X. What it returns
    /// stands at 64: cells, items, verdicts, scratch, each a place and a length; of a router
    /// at 48.
    pub(crate) at_end: &'static str,
    /// Runs after the host has read what was returned.
    pub(crate) post_return: &'static str,
    /// What stands for the function that does the work, if not the usual.
    pub(crate) work: Option<&'static str>,
    /// Fields of the component: imports, types, instances.
    pub(crate) component: &'static str,
}

/// A world of `wit/heplake.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// Cells of a row, and which of them is the whole item.
    Parser {
        width: usize,
        whole: usize,
    },
    Router,
}

/// One field: the item.
pub(crate) const PARSER: &str = r#"{"name":"hostile","version":"0.1.0","accepts":{"protocol_types":[200]},"fields":[{"name":"text","kind":"text"}],"verdicts":[{"name":"broken","class":"refused"}]}"#;
/// What the host needs of an envelope.
const ENVELOPE: &str = r#"{"name":"hostile-envelope","version":"0.1.0","accepts":"datagrams","fields":[{"name":"payload","kind":"bytes"},{"name":"version","kind":"number"},{"name":"protocol","kind":"number"},{"name":"src_ip","kind":"address"},{"name":"dst_ip","kind":"address"},{"name":"src_port","kind":"number"},{"name":"dst_port","kind":"number"},{"name":"timestamp","kind":"time"},{"name":"proto_type","kind":"number"},{"name":"node_id","kind":"text"},{"name":"correlation_id","kind":"text"}]}"#;
/// One table of the parser's rows.
pub(crate) const ROUTER: &str = r#"{"name":"hostile-router","version":"0.1.0","routes":"hostile","reads":["text"],"tables":[{"name":"hostile_rows","columns":[{"name":"uuid","type":"VARCHAR","from":["host.uuid"]},{"name":"date","type":"DATE","from":["host.date"]},{"name":"timestamp","type":"TIMESTAMP","from":["host.timestamp"]},{"name":"text","type":"VARCHAR","from":["payload.text"]}]}]}"#;

impl Guest {
    fn of(world: World, description: &str) -> Self {
        Self {
            world,
            description: description.into(),
            memory: r#"(memory (export "memory") 4)"#,
            fields: "",
            realloc: "",
            configure: "",
            describe: "",
            on_x: "",
            on_each: "",
            at_end: "",
            post_return: "",
            work: None,
            component: "",
        }
    }

    /// A parser of which each item is a row with one field.
    pub(crate) fn parser() -> Self {
        Self::of(World::Parser { width: 1, whole: 0 }, PARSER)
    }

    /// An envelope of which each packet is a payload.
    pub(crate) fn envelope() -> Self {
        Self::of(
            World::Parser {
                width: 11,
                whole: 0,
            },
            ENVELOPE,
        )
    }

    /// A router that sends each row to its first table.
    pub(crate) fn router() -> Self {
        Self::of(World::Router, ROUTER)
    }

    /// One that describes itself so.
    pub(crate) fn describing(self, description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }

    /// The component.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn text(&self) -> String {
        let Self {
            description,
            memory,
            fields,
            realloc,
            configure,
            describe,
            post_return,
            component,
            ..
        } = self;
        let length = description.len();
        let heap = (DESCRIPTION_AT + length).next_multiple_of(1 << 16);
        let data: String = description
            .bytes()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let (work, export) = match self.world {
            World::Parser { width, whole } => (self.parse(width, whole), PARSE),
            World::Router => (self.route(), ROUTE),
        };
        format!(
            r#"(component
  {component}
  (core module $m
    {memory}
    (global $top (mut i32) (i32.const {heap}))
    (global $x (mut i32) (i32.const 0))
    (global $calls (mut i32) (i32.const 0))
    (global $items (mut i32) (i32.const 0))
    (data (i32.const {DESCRIPTION_AT}) "{data}")
    {fields}
    (func $realloc (export "cabi_realloc") (param $old i32) (param $old_n i32) (param $align i32) (param $n i32) (result i32)
      (local $at i32)
      {realloc}
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $n)))
      (block $fits (loop $again
        (br_if $fits (i32.le_u (global.get $top) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $again)))
      (local.get $at))
    (func $alloc (param $n i32) (result i32)
      (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $n)))
    (func (export "configure") (param i32 i32) (result i32)
      {configure}
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.const 16))
    (func (export "describe") (result i32)
      (i32.store (i32.const 32) (i32.const {DESCRIPTION_AT}))
      (i32.store (i32.const 36) (i32.const {length}))
      {describe}
      (i32.const 32))
    {work}
    (func (export "post") (param i32)
      {post_return}
      (global.set $top (i32.const {heap}))))
  (core instance $i (instantiate $m))
  (func (export "configure") (param "configuration" string) (result (result (error string)))
    (canon lift (core func $i "configure") (memory (core memory $i "memory")) (realloc (core func $i "cabi_realloc"))))
  (func (export "describe") (result string)
    (canon lift (core func $i "describe") (memory (core memory $i "memory"))))
  {export})"#
        )
    }

    fn parse(&self, width: usize, whole: usize) -> String {
        let Self {
            on_x,
            on_each,
            at_end,
            ..
        } = self;
        if let Some(work) = self.work {
            return work.into();
        }
        format!(
            r#"(func (export "parse") (param $bytes i32) (param $bytes_n i32) (param $ends i32) (param $n i32)
        (param i32 i32 i32 i32 i32 i32) (result i32)
      (local $i i32) (local $start i32) (local $end i32)
      (local $cells i32) (local $rows i32) (local $verdicts i32)
      (local $cell i32) (local $item i32) (local $verdict i32)
      (global.set $x (i32.const 0))
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (local.set $cells (call $alloc (i32.mul (local.get $n) (i32.const {row_bytes}))))
      (local.set $rows (call $alloc (i32.shl (local.get $n) (i32.const 2))))
      (local.set $verdicts (call $alloc (i32.shl (local.get $n) (i32.const 2))))
      (memory.fill (local.get $cells) (i32.const 255) (i32.mul (local.get $n) (i32.const {row_bytes})))
      (i32.store (i32.const 64) (local.get $cells))
      (i32.store (i32.const 68) (i32.mul (local.get $n) (i32.const {width})))
      (i32.store (i32.const 72) (local.get $rows))
      (i32.store (i32.const 76) (local.get $n))
      (i32.store (i32.const 80) (local.get $verdicts))
      (i32.store (i32.const 84) (local.get $n))
      (i32.store (i32.const 88) (i32.const 0))
      (i32.store (i32.const 92) (i32.const 0))
      (block $done (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (global.set $items (i32.add (global.get $items) (i32.const 1)))
        (local.set $end (i32.load (i32.add (local.get $ends) (i32.shl (local.get $i) (i32.const 2)))))
        (local.set $cell (i32.add (local.get $cells) (i32.mul (local.get $i) (i32.const {row_bytes}))))
        (local.set $item (i32.add (local.get $rows) (i32.shl (local.get $i) (i32.const 2))))
        (local.set $verdict (i32.add (local.get $verdicts) (i32.shl (local.get $i) (i32.const 2))))
        (i32.store offset={whole} (local.get $cell) (local.get $start))
        (i32.store offset={length} (local.get $cell) (i32.sub (local.get $end) (local.get $start)))
        (i32.store (local.get $item) (local.get $i))
        (i32.store (local.get $verdict) (i32.const 0))
        {on_each}
        (if (i32.eq (i32.load8_u (i32.add (local.get $bytes) (local.get $start))) (i32.const 88)) (then
          (global.set $x (i32.const 1))
          {on_x}))
        (local.set $start (local.get $end))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
      (if (global.get $x) (then {at_end}))
      (i32.const 64))"#,
            row_bytes = width * 8,
            whole = whole * 8,
            length = whole * 8 + 4,
        )
    }

    fn route(&self) -> String {
        let Self {
            on_x,
            on_each,
            at_end,
            ..
        } = self;
        if let Some(work) = self.work {
            return work.into();
        }
        format!(
            r#"(func (export "route") (param $bytes i32) (param $bytes_n i32) (param $cells i32) (param $cells_n i32) (param $n i32) (result i32)
      (local $i i32) (local $tables i32) (local $item i32)
      (global.set $x (i32.const 0))
      (local.set $tables (call $alloc (i32.shl (local.get $n) (i32.const 2))))
      (i32.store (i32.const 48) (local.get $tables))
      (i32.store (i32.const 52) (local.get $n))
      (block $done (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $item (i32.add (local.get $tables) (i32.shl (local.get $i) (i32.const 2))))
        (i32.store (local.get $item) (i32.const 0))
        {on_each}
        (if (i32.eq (i32.load8_u (i32.add (local.get $bytes)
              (i32.load (i32.add (local.get $cells) (i32.shl (local.get $i) (i32.const 3)))))) (i32.const 88)) (then
          (global.set $x (i32.const 1))
          {on_x}))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
      (if (global.get $x) (then {at_end}))
      (i32.const 48))"#
        )
    }
}

/// Where the description stands: what a call returns is before it.
const DESCRIPTION_AT: usize = 1024;

const PARSE: &str = r#"(func (export "parse")
    (param "bytes" (list u8)) (param "ends" (list u32)) (param "received" (list u64))
    (param "context" (list u64)) (param "context-bytes" (list u8))
    (result (tuple (list u64) (list u32) (list u32) (list u8)))
    (canon lift (core func $i "parse") (memory (core memory $i "memory")) (realloc (core func $i "cabi_realloc"))
      (post-return (core func $i "post"))))"#;

const ROUTE: &str = r#"(func (export "route")
    (param "bytes" (list u8)) (param "cells" (list u64)) (param "rows" u32)
    (result (list u32))
    (canon lift (core func $i "route") (memory (core memory $i "memory")) (realloc (core func $i "cabi_realloc"))
      (post-return (core func $i "post"))))"#;
