//! chain: the classes that an item needs, each once; twin of `shaders/label_links.wgsl`.

use super::check_labels::Item;
use super::states::room;

/// A class that the item has not.
const NONE: u32 = u32::MAX;

/// Gives each class a slot in the order of its first occurrence, the blank's being 0. `slot_of` has one entry a class,
/// all [`NONE`] before and after.
pub(super) fn link(item: &mut Item, blank: usize, classes: usize, slot_of: &mut Vec<u32>) {
    item.classes.clear();
    item.classes.extend(u32::try_from(blank));
    item.slots.clear();
    item.slots.push(0);
    if item.labels.is_empty() {
        // Nothing to look up; and without a frame the number of classes is only a claim.
        item.slots.resize(room(item.places()), 0);
        return;
    }
    if slot_of.len() < classes {
        slot_of.resize(classes, NONE);
    }
    slot_of[blank] = 0;
    for &class in &item.labels {
        let slot = &mut slot_of[class as usize];
        if *slot == NONE {
            *slot = u32::try_from(item.classes.len()).unwrap_or(NONE);
            item.classes.push(class);
        }
        item.slots.push(*slot);
    }
    item.slots.resize(room(item.places()), 0);
    for &class in &item.classes {
        slot_of[class as usize] = NONE;
    }
}
