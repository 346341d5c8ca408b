//! What the tests of the whole house share: captures of real
//! programs, made-up traffic with bad packets in it or without, native twins and variants of
//! the components.

pub mod captures;
pub mod native;
pub mod poison;
pub mod readings;
pub mod traffic;
pub mod variants;
