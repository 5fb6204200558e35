//! Messages, counted by name: the one count that is made for nearly everything that happens.

use std::collections::BTreeMap;

/// Counts messages and their bytes by name.
///
/// Names are words of the program, so they are told apart by where they stand in it. Each time one is found it moves up
/// by one place: those that are said most are soon found first.
#[derive(Debug, Default)]
pub(super) struct Messages {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    name: &'static str,
    asks_for_flavours: bool,
    count: u64,
    bytes: u64,
}

impl Messages {
    /// Counts one; says whether it is a LIST.
    pub(super) fn add(&mut self, name: &'static str, bytes: u32) -> bool {
        let same = |slot: &Slot| std::ptr::eq(slot.name, name);
        let at = match self.slots.iter().position(same) {
            Some(0) => 0,
            Some(at) => {
                self.slots.swap(at - 1, at);
                at - 1
            }
            None => {
                let asks_for_flavours = name == "LIST_FLAVOURS";
                self.slots.push(Slot { name, asks_for_flavours, count: 0, bytes: 0 });
                self.slots.len() - 1
            }
        };
        let slot = &mut self.slots[at];
        slot.count += 1;
        slot.bytes += u64::from(bytes);
        slot.asks_for_flavours
    }

    /// Returns how many there were of each name, and their bytes.
    pub(super) fn by_name(&self) -> BTreeMap<String, (u64, u64)> {
        let mut names: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for slot in &self.slots {
            let (count, bytes) = names.entry(slot.name.to_owned()).or_default();
            *count += slot.count;
            *bytes += slot.bytes;
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_name_in_whatever_order_they_come() {
        let names = ["RENEW", "LIST_FLAVOURS", "LIST_FLAVOURS answer"];
        let mut messages = Messages::default();
        for round in 0..300u32 {
            let name = names[(round * round % 3) as usize];
            assert_eq!(messages.add(name, round), name == "LIST_FLAVOURS", "{name}");
        }
        let by_name = messages.by_name();
        assert_eq!(by_name.values().map(|(count, _)| count).sum::<u64>(), 300);
        assert_eq!(by_name.values().map(|(_, bytes)| bytes).sum::<u64>(), 299 * 150);
        assert_eq!(by_name["RENEW"].0, 100);
    }
}
