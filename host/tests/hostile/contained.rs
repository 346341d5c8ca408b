//! Components that are contained: they load, and then do harm to themselves only.

use crate::{
    case::{ALL, Case, NONE, SHORT, WIDE, X},
    guest::{Guest, PARSER},
};

const TRAP: &str = "component_trap";
const DEADLINE: &str = "component_deadline";
const MEMORY: &str = "component_memory";
const VIOLATION: &str = "component_violation";
const NOT_MINE: &str = "not_mine";
/// All reasons that a packet here is rejected for.
pub(crate) const REASONS: [&str; 5] = [TRAP, DEADLINE, MEMORY, VIOLATION, NOT_MINE];

/// What happens to a parser that loads.
pub(crate) fn parsers() -> Vec<Case> {
    let good = Guest::parser;
    let on_x = |on_x| Guest { on_x, ..good() };
    let at_end = |at_end| Guest { at_end, ..good() };
    let address = || good().describing(PARSER.replace(r#""kind":"text""#, r#""kind":"address""#));
    vec![
        Case::contained("good", "does nothing bad", good(), "", NONE),
        // Traps.
        Case::contained("trap", "traps on a packet", on_x("unreachable"), TRAP, X),
        Case::contained("trap on the first packet", "traps on the first packet of an instance", Guest { on_each: "(if (i32.eq (global.get $items) (i32.const 1)) (then unreachable))", ..good() }, TRAP, ALL),
        Case::contained("trap on the third packet", "traps on the third packet of an instance", Guest { on_each: "(if (i32.eq (global.get $items) (i32.const 3)) (then unreachable))", ..good() }, TRAP, &[2]),
        Case::contained("trap on the second call", "traps on all calls of an instance but the first", Guest { on_each: "(if (i32.gt_u (global.get $calls) (i32.const 1)) (then unreachable))", ..good() }, "", NONE),
        Case::contained("division", "divides by zero", on_x("(drop (i32.div_u (i32.const 1) (i32.const 0)))"), TRAP, X),
        Case::contained("overflow", "divides the least number by minus one", on_x("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"), TRAP, X),
        Case::contained("not a number", "makes an integer of what is no number", on_x("(drop (i32.trunc_f32_s (f32.const nan)))"), TRAP, X),
        Case::contained("wild load", "reads beyond its memory", on_x("(drop (i32.load (i32.const -4)))"), TRAP, X),
        Case::contained("wild store", "writes beyond its memory", on_x("(i64.store offset=0xfffffff0 (i32.const -1) (i64.const 1))"), TRAP, X),
        Case::contained("wild copy", "copies four gigabytes over its memory", on_x("(memory.copy (i32.const 0) (i32.const 1) (i32.const -1))"), TRAP, X),
        Case::contained("wild call", "calls a function that is not there", Guest { fields: "(table 1 funcref) (type $f (func))", ..on_x("(call_indirect (type $f) (i32.const 0))") }, TRAP, X),
        Case::contained("call of another type", "calls a function as if it had another type", Guest { fields: "(table 1 funcref) (type $f (func (param f64))) (elem (i32.const 0) $realloc)", ..on_x("(call_indirect (type $f) (f64.const 0) (i32.const 0))") }, TRAP, X),
        Case::contained("recursion", "calls itself without end", Guest { fields: "(func $r (call $r))", ..on_x("(call $r)") }, TRAP, X),
        Case::contained("wide recursion", "calls itself twice at each level", Guest { fields: WIDE_RECURSION, ..on_x("(drop (call $r (f64.const 1)))") }, TRAP, X),
        Case::contained("trap after the answer", "traps when its answer has been read", Guest { post_return: "unreachable", ..good() }, TRAP, ALL),
        // Runaways.
        Case::contained("loop", "never ends", on_x("(loop $l (br $l))"), DEADLINE, X).within(SHORT),
        Case::contained("tail calls", "goes in circles without a loop", Guest { fields: "(func $a (return_call $b)) (func $b (return_call $a))", ..on_x("(call $a)") }, DEADLINE, X).within(SHORT),
        Case::contained("growing by nothing", "asks for no more memory, without end", on_x("(loop $l (drop (memory.grow (i32.const 0))) (br $l))"), DEADLINE, X).within(SHORT),
        Case::contained("filling", "fills its memory again and again", on_x("(loop $l (memory.fill (i32.const 262000) (i32.const 0) (i32.const 100)) (br $l))"), DEADLINE, X).within(SHORT),
        Case::contained("loop after the answer", "never ends once its answer has been read", Guest { post_return: "(loop $l (br_if $l (global.get $x)))", ..good() }, DEADLINE, X).within(SHORT),
        Case::contained("loop in the allocator", "never gives memory for a list of 32 octets, as four times are", Guest { realloc: "(loop $l (br_if $l (i32.eq (local.get $n) (i32.const 32))))", ..good() }, "", NONE).within(SHORT),
        // Memory.
        Case::contained("all memory", "takes all memory, and traps when there is no more", on_x("(loop $l (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $l))"), MEMORY, X),
        Case::contained("all memory, and on", "takes all memory, and goes on with what it has", on_x("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"), "", NONE),
        Case::contained("memory at once", "asks for four gigabytes at once, and traps", on_x("(if (i32.eq (memory.grow (i32.const 65000)) (i32.const -1)) (then unreachable))"), MEMORY, X),
        Case::contained("second memory", "takes all memory that there is in a second one", Guest { fields: "(memory $second 1)", ..on_x("(loop $l (if (i32.eq (memory.grow $second (i32.const 1)) (i32.const -1)) (then unreachable)) (br $l))") }, MEMORY, X),
        Case::contained("endless table", "makes a table longer without end", Guest { fields: "(table $t 1 funcref)", ..on_x("(loop $l (if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable)) (br $l))") }, MEMORY, X),
        // Spans.
        Case::contained("huge span", "quotes four gigabytes", on_x("(i64.store (local.get $cell) (i64.const 0xffffffff00000000))"), VIOLATION, X),
        Case::contained("span beyond the batch", "quotes what is behind the last packet", on_x("(i64.store (local.get $cell) (i64.const 0x000000017ffffff0))"), VIOLATION, X),
        Case::contained("another packet", "quotes the packet before", on_x("(i32.store (local.get $cell) (i32.sub (local.get $start) (i32.const 1)))"), VIOLATION, X),
        Case::contained("one octet more", "quotes the first octet of the next packet", on_x("(i32.store offset=4 (local.get $cell) (i32.add (i32.sub (local.get $end) (local.get $start)) (i32.const 1)))"), VIOLATION, X),
        Case::contained("scratch that is not there", "quotes scratch that it did not return", on_x("(i64.store (local.get $cell) (i64.const 0x0000000180000000))"), VIOLATION, X),
        Case::contained("overlapping spans", "quotes one packet in many rows that overlap", at_end(MANY_ROWS), "", NONE).giving(&[(b"first", 1), (b"X, the second", 1), (b"third", 1), (b"fourth", 101)]),
        Case::contained("overlapping spans without end", "quotes eight thousand octets in nine thousand rows", at_end(QUOTE_MUCH), VIOLATION, X).within(WIDE),
        Case::contained("address of two octets", "returns an address that is none", Guest { ..address_guest(address()) }, VIOLATION, X),
        Case::contained("no UTF-8", "returns text that is not UTF-8", Guest { fields: "(data (i32.const 128) \"\\ff\\fe\")", ..at_end("(i32.store (i32.const 88) (i32.const 128)) (i32.store (i32.const 92) (i32.const 2)) (i64.store (local.get $cells) (i64.const 0x0000000280000000))") }, "", NONE).giving(&[(b"\xff\xfe", 1), (b"X, the second", 1), (b"third", 1), (b"fourth", 1)]),
        // What it says of itself.
        Case::contained("another description", "describes itself otherwise when it is asked again", Guest { fields: "(global $told (mut i32) (i32.const 0))", describe: "(if (global.get $told) (then (i32.store (i32.const 36) (i32.const 2)))) (global.set $told (i32.const 1))", ..good() }, "", NONE).giving(AS_SENT),
        Case::contained("another schema", "returns rows of two fields on all calls of an instance but the first", Guest { on_each: "(if (i32.gt_u (global.get $calls) (i32.const 1)) (then (i32.store (i32.const 68) (i32.shl (local.get $n) (i32.const 1)))))", ..good() }, "", NONE).giving(AS_SENT),
        // Rows and verdicts.
        Case::contained("row of no packet", "returns a row of a packet that is not there", on_x("(i32.store (local.get $item) (i32.const 1000))"), VIOLATION, X),
        Case::contained("falling rows", "returns the row of a packet as the first one's", on_x("(i32.store (local.get $item) (i32.const 0))"), "", NONE),
        Case::contained("verdict of no description", "returns a verdict that it did not describe", on_x("(i32.store (local.get $verdict) (i32.const 3))"), VIOLATION, X),
        Case::contained("the host's own verdict", "returns what stands for a fault inside the host", on_x("(i32.store (local.get $verdict) (i32.const -1))"), VIOLATION, X),
        Case::contained("not its own, with a row", "returns a row of a packet that is another protocol's", on_x("(i32.store (local.get $verdict) (i32.const 1))"), VIOLATION, X),
        Case::contained("refused, with a row", "returns a row of a packet that it refuses", on_x("(i32.store (local.get $verdict) (i32.const 2))"), VIOLATION, X),
        Case::contained("parsed, without a row", "returns no row of a packet that it parsed", at_end("(i32.store (i32.const 68) (i32.const 0)) (i32.store (i32.const 76) (i32.const 0))"), VIOLATION, X),
        Case::contained("a cell too few", "returns a cell too few", at_end("(i32.store (i32.const 68) (i32.sub (local.get $n) (i32.const 1)))"), VIOLATION, X),
        Case::contained("a cell too many", "returns a cell too many", at_end("(i32.store (i32.const 68) (i32.add (local.get $n) (i32.const 1)))"), VIOLATION, X),
        Case::contained("a verdict too few", "returns a verdict too few", at_end("(i32.store (i32.const 84) (i32.sub (local.get $n) (i32.const 1)))"), VIOLATION, X),
        Case::contained("a verdict too many", "returns a verdict too many", at_end("(i32.store (i32.const 84) (i32.add (local.get $n) (i32.const 1)))"), VIOLATION, X),
        Case::contained("flood of rows", "returns ten thousand rows of a packet", at_end("(i32.store (i32.const 64) (call $alloc (i32.const 80000))) (i32.store (i32.const 68) (i32.const 10000)) (i32.store (i32.const 72) (call $alloc (i32.const 40000))) (i32.store (i32.const 76) (i32.const 10000))"), VIOLATION, X),
        Case::contained("flood of scratch", "returns 17 MiB of scratch", at_end("(i32.store (i32.const 88) (call $alloc (i32.const 0x1100000))) (i32.store (i32.const 92) (i32.const 0x1100000))"), VIOLATION, X).within(WIDE),
        Case::contained("flood of everything", "returns the same 20 MB four times over", at_end("(i32.store (i32.const 64) (call $alloc (i32.const 20000000))) (i32.store (i32.const 68) (i32.const 2000000)) (i32.store (i32.const 72) (i32.load (i32.const 64))) (i32.store (i32.const 76) (i32.const 4000000)) (i32.store (i32.const 88) (i32.load (i32.const 64))) (i32.store (i32.const 92) (i32.const 20000000))"), VIOLATION, X).within(WIDE),
        // What cannot be read.
        Case::contained("list beyond memory", "returns a list that ends beyond its memory", at_end("(i32.store (i32.const 76) (i32.const 0x7fffffff))"), VIOLATION, X),
        Case::contained("list that overflows", "returns a list whose end is before its start", at_end("(i32.store (i32.const 64) (i32.const -8)) (i32.store (i32.const 68) (i32.const -1))"), VIOLATION, X),
        Case::contained("crooked list", "returns numbers at an odd place", at_end("(i32.store (i32.const 64) (i32.add (local.get $cells) (i32.const 1)))"), VIOLATION, X),
        Case::contained("answer that is not there", "returns an answer beyond its memory", at_end("(return (i32.const -32))"), VIOLATION, X),
        Case::contained("crooked answer", "returns an answer at an odd place", at_end("(return (i32.const 65))"), VIOLATION, X),
        Case::contained("allocator beyond memory", "takes a batch beyond its memory", Guest { realloc: "(if (i32.eqz (i32.eq (local.get $n) (i32.const 2))) (then (return (i32.const 0x7ffffff8))))", ..good() }, VIOLATION, ALL),
        Case::contained("crooked allocator", "takes a batch at an odd place", Guest { realloc: "(if (i32.gt_u (local.get $align) (i32.const 1)) (then (return (i32.const 70001))))", ..good() }, VIOLATION, ALL),
        Case::contained("overlapping allocator", "takes all lists of a batch at the same place", Guest { realloc: "(if (i32.ne (local.get $n) (i32.const 2)) (then (return (i32.const 131072))))", ..good() }, VIOLATION, ALL),
    ]
}

/// What happens to a router that loads.
pub(crate) fn routers() -> Vec<Case> {
    let on_x = |on_x| Guest {
        on_x,
        ..Guest::router()
    };
    let at_end = |at_end| Guest {
        at_end,
        ..Guest::router()
    };
    vec![
        Case::contained("good", "does nothing bad", Guest::router(), "", NONE),
        Case::contained("trap", "traps on a row", on_x("unreachable"), TRAP, X),
        Case::contained("loop", "never ends", on_x("(loop $l (br $l))"), DEADLINE, X).within(SHORT),
        Case::contained(
            "all memory",
            "takes all memory, and traps when there is no more",
            on_x(
                "(loop $l (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $l))",
            ),
            MEMORY,
            X,
        ),
        Case::contained(
            "recursion",
            "calls itself without end",
            Guest {
                fields: "(func $r (call $r))",
                ..on_x("(call $r)")
            },
            TRAP,
            X,
        ),
        Case::contained(
            "table of no description",
            "sends a row to a table that it did not describe",
            on_x("(i32.store (local.get $item) (i32.const 1))"),
            VIOLATION,
            X,
        ),
        Case::contained(
            "table without end",
            "sends a row to the last table that a number can name",
            on_x("(i32.store (local.get $item) (i32.const -1))"),
            VIOLATION,
            X,
        ),
        Case::contained(
            "a table too few",
            "returns a table too few",
            at_end("(i32.store (i32.const 52) (i32.sub (local.get $n) (i32.const 1)))"),
            VIOLATION,
            X,
        ),
        Case::contained(
            "a table too many",
            "returns a table too many",
            at_end("(i32.store (i32.const 52) (i32.add (local.get $n) (i32.const 1)))"),
            VIOLATION,
            X,
        ),
        Case::contained(
            "list beyond memory",
            "returns a list that ends beyond its memory",
            at_end("(i32.store (i32.const 52) (i32.const 0x3fffffff))"),
            VIOLATION,
            X,
        ),
        Case::contained(
            "trap after the answer",
            "traps when its answer has been read",
            Guest {
                post_return: "unreachable",
                ..Guest::router()
            },
            TRAP,
            ALL,
        ),
    ]
}

/// What happens to an envelope that loads.
pub(crate) fn envelopes() -> Vec<Case> {
    let on_x = |on_x| Guest {
        on_x,
        ..Guest::envelope()
    };
    let memory = "(loop $l (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $l))";
    // Another's, without a row: the last of the batch that it is, or its place is the next one's.
    let alone = "(if (i32.eq (local.get $n) (i32.const 1)) (then (i32.store (local.get $verdict) (i32.const 1)) (i32.store (i32.const 68) (i32.const 0)) (i32.store (i32.const 76) (i32.const 0))) (else unreachable))";
    let beyond = "(i32.store (local.get $cell) (i32.sub (local.get $start) (i32.const 1)))";
    vec![
        Case::contained("good", "does nothing bad", Guest::envelope(), "", NONE),
        Case::contained("trap", "traps on a packet", on_x("unreachable"), TRAP, X),
        Case::contained("loop", "never ends", on_x("(loop $l (br $l))"), DEADLINE, X).within(SHORT),
        Case::contained(
            "all memory",
            "takes all memory, and traps when there is no more",
            on_x(memory),
            MEMORY,
            X,
        ),
        Case::contained(
            "another packet",
            "takes a part of the packet before for a payload",
            on_x(beyond),
            VIOLATION,
            X,
        ),
        Case::contained(
            "not its own",
            "calls a packet another's, though there is no other envelope",
            on_x(alone),
            NOT_MINE,
            X,
        ),
        Case::contained(
            "trap after the answer",
            "traps when its answer has been read",
            Guest {
                post_return: "unreachable",
                ..Guest::envelope()
            },
            TRAP,
            ALL,
        ),
    ]
}

/// A row for each packet.
const AS_SENT: &[(&[u8], usize)] = &[
    (b"first", 1),
    (b"X, the second", 1),
    (b"third", 1),
    (b"fourth", 1),
];

/// A parser of addresses, of which the item in question has two octets.
fn address_guest(guest: Guest) -> Guest {
    Guest {
        on_each: "(i64.store (local.get $cell) (i64.const -1))",
        on_x: "(i32.store (local.get $cell) (local.get $start)) (i32.store offset=4 (local.get $cell) (i32.const 2))",
        ..guest
    }
}

/// A hundred rows more of the last item, each all of it.
const MANY_ROWS: &str = "
    (local.set $i (i32.const 0))
    (local.set $cells (call $alloc (i32.mul (i32.add (local.get $n) (i32.const 100)) (i32.const 8))))
    (local.set $rows (call $alloc (i32.mul (i32.add (local.get $n) (i32.const 100)) (i32.const 4))))
    (memory.copy (local.get $cells) (i32.load (i32.const 64)) (i32.shl (local.get $n) (i32.const 3)))
    (memory.copy (local.get $rows) (i32.load (i32.const 72)) (i32.shl (local.get $n) (i32.const 2)))
    (loop $row
      (i64.store (i32.add (local.get $cells) (i32.shl (i32.add (local.get $n) (local.get $i)) (i32.const 3))) (i64.load (local.get $cell)))
      (i32.store (i32.add (local.get $rows) (i32.shl (i32.add (local.get $n) (local.get $i)) (i32.const 2))) (i32.sub (local.get $n) (i32.const 1)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $row (i32.lt_u (local.get $i) (i32.const 100))))
    (i32.store (i32.const 64) (local.get $cells)) (i32.store (i32.const 68) (i32.add (local.get $n) (i32.const 100)))
    (i32.store (i32.const 72) (local.get $rows)) (i32.store (i32.const 76) (i32.add (local.get $n) (i32.const 100)))";

/// Eight thousand rows more of the last item, each all of 9000 octets of scratch.
const QUOTE_MUCH: &str = "
    (local.set $i (i32.const 0))
    (local.set $cells (call $alloc (i32.mul (i32.add (local.get $n) (i32.const 8000)) (i32.const 8))))
    (local.set $rows (call $alloc (i32.mul (i32.add (local.get $n) (i32.const 8000)) (i32.const 4))))
    (memory.copy (local.get $cells) (i32.load (i32.const 64)) (i32.shl (local.get $n) (i32.const 3)))
    (memory.copy (local.get $rows) (i32.load (i32.const 72)) (i32.shl (local.get $n) (i32.const 2)))
    (loop $row
      (i64.store (i32.add (local.get $cells) (i32.shl (i32.add (local.get $n) (local.get $i)) (i32.const 3))) (i64.const 0x0000232880000000))
      (i32.store (i32.add (local.get $rows) (i32.shl (i32.add (local.get $n) (local.get $i)) (i32.const 2))) (i32.sub (local.get $n) (i32.const 1)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $row (i32.lt_u (local.get $i) (i32.const 8000))))
    (i32.store (i32.const 64) (local.get $cells)) (i32.store (i32.const 68) (i32.add (local.get $n) (i32.const 8000)))
    (i32.store (i32.const 72) (local.get $rows)) (i32.store (i32.const 76) (i32.add (local.get $n) (i32.const 8000)))
    (i32.store (i32.const 88) (call $alloc (i32.const 9000))) (i32.store (i32.const 92) (i32.const 9000))";

const WIDE_RECURSION: &str = "
    (func $r (param f64) (result f64) (local f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64)
      (f64.add (call $r (f64.add (local.get 0) (f64.const 1))) (call $r (local.get 0))))";
