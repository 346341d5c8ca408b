//! What the tests of the whole house share: captures of real
//! programs, made-up traffic, and native twins of the components.

pub mod captures;
pub mod native;
pub mod traffic;
