//! Kernel sources without overrides or uniforms, for frameworks that launch WGSL but support
//! neither.

use std::mem::offset_of;

use super::{Kernel, SourceVariant};
use crate::params::Params;

impl Kernel {
    /// Returns the source of a variant with constants in place of the overrides and of the uniform.
    ///
    /// Bindings are numbered from 0 and all declared `read_write`: a framework may bind several
    /// ranges of one buffer, which a dispatch cannot bind both as read-only and as writable.
    pub(crate) fn specialised(
        &self,
        variant: SourceVariant,
        constants: &[(&'static str, u32)],
        params: &Params,
    ) -> String {
        let line = |line: &str| {
            if let Some(rest) = line.strip_prefix("override ") {
                return constant(rest, constants);
            }
            if line.contains("var<uniform> params") {
                return format!("const params: Params = Params({});", arguments(params));
            }
            match line
                .strip_prefix("@group(0) @binding(")
                .and_then(|rest| rest.split_once(')'))
                .and_then(|(number, rest)| Some((number.parse::<u32>().ok()?, rest)))
            {
                Some((number, rest)) => {
                    let written = rest.replace("var<storage, read>", "var<storage, read_write>");
                    format!("@group(0) @binding({}){written}", number.saturating_sub(1))
                }
                None => line.to_owned(),
            }
        };
        let source = self.source(variant);
        let lines: Vec<_> = source.lines().map(line).collect();
        lines.join("\n")
    }
}

/// Turns the override declaration `NAME: type = default;` into a constant. Its value is that in
/// `constants`, or else the default.
fn constant(declaration: &str, constants: &[(&'static str, u32)]) -> String {
    let specialised = declaration.split_once(':').and_then(|(name, rest)| {
        let (ty, _) = rest.split_once('=')?;
        let (_, value) = constants.iter().find(|(known, _)| *known == name)?;
        let ty = ty.trim();
        let value = match ty {
            "bool" => (*value != 0).to_string(),
            _ => format!("{value}u"),
        };
        Some(format!("const {name}: {ty} = {value};"))
    });
    specialised.unwrap_or_else(|| format!("const {declaration}"))
}

/// Returns the fields of the uniform in order, as WGSL literals. All are `u32` except `epsilon`.
fn arguments(params: &Params) -> String {
    let words: &[u32] = bytemuck::cast_slice(std::slice::from_ref(params));
    let argument = |(index, word): (usize, &u32)| {
        if index * 4 == offset_of!(Params, epsilon) {
            format!("{:e}f", params.epsilon)
        } else {
            format!("{word}u")
        }
    };
    let arguments: Vec<_> = words.iter().enumerate().map(argument).collect();
    arguments.join(", ")
}
