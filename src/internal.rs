//! Functions that the other crates of this project share. They are not part of the API: they may
//! change or go in any version.

pub use crate::blocking::block_on;
pub use crate::gpu::guarded;
