//! The distinct classes of an item: its emissions and occupancies are computed once per class.

use super::item::ItemData;
use super::states::array_floats;

/// The entry of a class that the item does not need.
const NONE: u32 = u32::MAX;

/// Numbers the classes of an item in the order of their first occurrence, beginning with the blank.
/// `index_of_class` has one entry per class, all of them [`NONE`] before and after.
pub(super) fn index_classes(
    item: &mut ItemData,
    blank: usize,
    classes: usize,
    index_of_class: &mut Vec<u32>,
) {
    item.classes.clear();
    item.classes.extend(u32::try_from(blank));
    item.class_index.clear();
    item.class_index.push(0);
    if item.labels.is_empty() {
        // Without labels no table is needed. In an empty batch, the number of classes may be huge.
        item.class_index.resize(array_floats(item.pairs()), 0);
        return;
    }
    if index_of_class.len() < classes {
        index_of_class.resize(classes, NONE);
    }
    index_of_class[blank] = 0;
    for &class in &item.labels {
        let index = &mut index_of_class[class as usize];
        if *index == NONE {
            *index = u32::try_from(item.classes.len()).unwrap_or(NONE);
            item.classes.push(class);
        }
        item.class_index.push(*index);
    }
    item.class_index.resize(array_floats(item.pairs()), 0);
    for &class in &item.classes {
        index_of_class[class as usize] = NONE;
    }
}
