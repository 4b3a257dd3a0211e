//! The uniform of a dispatch.

use bytemuck::{Pod, Zeroable};

/// The parameters of one dispatch, in the layout of the uniform in `shaders/shared/params.wgsl`,
/// which documents the fields. A test compares names and offsets.
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    pub(crate) frames: u32,
    pub(crate) classes: u32,
    pub(crate) blank: u32,
    pub(crate) epsilon: f32,
    pub(crate) items: u32,
    pub(crate) label_stride: u32,
    pub(crate) tile_items: u32,
    pub(crate) item_base: u32,
    pub(crate) label_capacity: u32,
    pub(crate) quads: u32,
    pub(crate) first_frame: u32,
    pub(crate) slice_frames: u32,
    pub(crate) input_base: u32,
    pub(crate) item_rows: u32,
    pub(crate) frame_rows: u32,
    pub(crate) first_step: u32,
    pub(crate) end_step: u32,
    pub(crate) segment_begin: u32,
    pub(crate) segment_end: u32,
    pub(crate) carry_row: u32,
    pub(crate) checkpoint_row: u32,
    pub(crate) spill_row: u32,
    pub(crate) first_item: u32,
    pub(crate) label_base: u32,
    pub(crate) first_dispatch: u32,
    pub(crate) second_base: u32,
    pub(crate) unused: [u32; 2],
}
