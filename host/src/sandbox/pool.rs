//! The pool that instances are made from: one that is thrown away leaves its place to the
//! next, and neither maps nor unmaps memory. It makes an instance in a third of the time.

use super::instance::{PARTS_MAX, TABLE_ENTRIES_MAX};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Most workers; see `writer.worker_count`.
const WORKERS_MAX: u32 = 128;
/// Pipelines of a worker: the one that works, the one before that stays warm, and the one
/// to come.
const PIPELINES_MAX: u32 = 3;
/// Components of a pipeline: an envelope, two parsers, a router. With fewer workers there may
/// be more.
const COMPONENTS_MAX: u32 = 4;
/// Instances of a component in a pipeline: one that works, and a spare.
const INSTANCES_OF_COMPONENT_MAX: u32 = 2;
/// Instances beside the workers': of components that are described, tried or replayed.
const OTHERS_MAX: u32 = 128;
/// Instances at a time. Only address space is taken for those that are not there: four
/// gigabytes and a guard for each, 13 of the 128 terabytes that a process has.
const INSTANCES_MAX: u32 =
    WORKERS_MAX * PIPELINES_MAX * COMPONENTS_MAX * INSTANCES_OF_COMPONENT_MAX + OTHERS_MAX;
/// Bytes of a memory that are cleared rather than given back to the machine: a parser's stack
/// and data, and a short range of packets. Only what was touched is cleared.
const KEPT_BYTES: usize = 2 << 20;
/// The same of a table: all that it may have.
const KEPT_TABLE_BYTES: usize = 160 << 10;
/// Places that keep what they had for the next instance of the same component.
const WARM_PLACES_MAX: u32 = 32;

/// Starts an engine with a pool, or without one where there is no address space for it.
pub(super) fn engine(mut config: Config) -> wasmtime::Result<Engine> {
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    Engine::new(&config).or_else(|_| {
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX)
        .total_memories(INSTANCES_MAX)
        .total_tables(INSTANCES_MAX)
        .max_core_instances_per_component(PARTS_MAX)
        .max_memories_per_component(PARTS_MAX)
        .max_memories_per_module(PARTS_MAX)
        .max_tables_per_component(PARTS_MAX)
        .max_tables_per_module(PARTS_MAX)
        .linear_memory_keep_resident(KEPT_BYTES)
        // More than any may have, so that it is the instance's allowance that refuses.
        .table_elements(2 * TABLE_ENTRIES_MAX)
        .table_keep_resident(KEPT_TABLE_BYTES)
        .max_unused_warm_slots(WARM_PLACES_MAX)
        .pagemap_scan(Enabled::Auto);
    pool
}
