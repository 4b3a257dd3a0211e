//! Parses `T,N,C,L`.

use std::str::FromStr;

/// Frames, items, classes and labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BenchShape(pub(crate) [usize; 4]);

/// The largest number of logits of a batch: 8 GiB, and another 8 GiB for the gradient.
const MAX_LOGITS: usize = 1 << 31;

impl FromStr for BenchShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<usize>, _> = text.split(',').map(|n| n.trim().parse()).collect();
        let Ok(&[frames, items, classes, labels]) = numbers.as_deref() else {
            return Err("expected four whole numbers T,N,C,L, such as 150,32,28,40".to_owned());
        };
        for (axis, value, min) in [("T", frames, 1), ("N", items, 1), ("C", classes, 2)] {
            if value < min {
                return Err(format!("{axis} = {value}: must be at least {min}"));
            }
        }
        // If a label equals the one before it, a blank is required between them.
        if labels > frames / 2 {
            return Err(format!(
                "L = {labels}: must be at most T / 2 = {}, so that an alignment exists",
                frames / 2
            ));
        }
        let logits = frames
            .checked_mul(items)
            .and_then(|n| n.checked_mul(classes));
        match logits {
            Some(logits) if logits <= MAX_LOGITS => Ok(Self([frames, items, classes, labels])),
            _ => Err(format!("T·N·C must be at most {MAX_LOGITS}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_four_numbers_that_allow_an_alignment_of_any_labels() {
        assert!("150,32,28,40".parse::<BenchShape>().is_ok());
        assert!("1, 1, 2, 0".parse::<BenchShape>().is_ok());
        for (text, rule) in [
            ("", "four whole numbers"),
            ("1,2,3", "four whole numbers"),
            ("1,2,3,4,5", "four whole numbers"),
            ("1,2,-3,4", "four whole numbers"),
            ("0,1,2,0", "T = 0"),
            ("1,0,2,0", "N = 0"),
            ("1,1,1,0", "C = 1"),
            ("10,1,2,6", "L = 6: must be at most T / 2 = 5"),
            ("100000,100000,2,1", "T·N·C"),
            ("4294967296,4294967296,2,1", "T·N·C"),
        ] {
            let rejection = text.parse::<BenchShape>().map(|_| ());
            assert!(
                rejection.as_ref().is_err_and(|e| e.contains(rule)),
                "{text}: {rejection:?}"
            );
        }
    }
}
