//! Builder-style setters for the structs of plain data that callers configure.

/// Defines one setter per field, named after the field.
macro_rules! setters {
    ($type:ident { $($field:ident: $value:ty),+ $(,)? }) => {
        impl $type {
            $(
                #[doc = concat!("Returns these values with the field `", stringify!($field), "` replaced.")]
                #[must_use]
                pub const fn $field(mut self, $field: $value) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }
    };
}

/// Defines one setter per optional buffer, named after the field, that binds a whole buffer.
macro_rules! buffer_setters {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl<'a> $type<'a> {
            $(
                #[doc = concat!("Binds the whole of `buffer` as `", stringify!($field), "`.")]
                #[must_use]
                pub fn $field(mut self, buffer: &'a wgpu::Buffer) -> Self {
                    self.$field = Some(buffer.as_entire_buffer_binding());
                    self
                }
            )+
        }
    };
}

pub(crate) use {buffer_setters, setters};
