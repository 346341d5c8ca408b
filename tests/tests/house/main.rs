//! The house as a whole: what goes in at a socket comes out of a query, as an independent
//! reading of the bytes says it should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod captures;
mod columns;
mod components;
mod golden;
mod plain_duckdb;
mod poison;
mod readings;
mod removal;
mod rollback;
mod rows;
mod site;
mod swaps;
mod written;
