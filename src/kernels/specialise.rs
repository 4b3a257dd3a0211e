//! A kernel's text with nothing left to set, for frameworks that launch WGSL but set neither overrides nor uniforms.

use std::mem::offset_of;

use super::{Kernel, SourceVariant};
use crate::params::Params;

impl Kernel {
    /// The text with constants in place of overrides and of the uniform, and every binding declared as written and
    /// counted from 0: what a framework binds may lie in one buffer, of which a dispatch cannot bind one part to read
    /// and another to write.
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

/// `NAME: type = default;` as a constant of its value here.
fn constant(declaration: &str, constants: &[(&'static str, u32)]) -> String {
    let given = declaration.split_once(':').and_then(|(name, rest)| {
        let (ty, _) = rest.split_once('=')?;
        let (_, value) = constants.iter().find(|(known, _)| *known == name)?;
        let ty = ty.trim();
        let value = match ty {
            "bool" => (*value != 0).to_string(),
            _ => format!("{value}u"),
        };
        Some(format!("const {name}: {ty} = {value};"))
    });
    given.unwrap_or_else(|| format!("const {declaration}"))
}

/// The members of the uniform, in order: all words but one.
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
