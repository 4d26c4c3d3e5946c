//! The hash table of one shard of the memory store: nonces, and the end of each.
//!
//! ```text
//! line (64 bytes): 4 ids of 8 bytes · 4 × when claimed · 4 × for how long · how many went by
//! ```
//!
//! A *line* is a bucket of the size of a processor cache line. A search begins in the line that the
//! id selects, and goes on to the next line only if an entry had to pass that line because it was
//! full. So a claim almost always touches one cache line, however many nonces are live. The line
//! also holds the end of each nonce, so that sweeping needs no second index. Each line counts the
//! entries that passed it (as F14 tables do), so removing an entry leaves no tombstone.
//!
//! Seconds are counted from the moment `base` of the store. This module neither locks nor reads a
//! clock.

/// Number of nonces in one cache line of the table.
const PLACES: usize = 4;

/// The longest time for which a nonce can be kept, in seconds: 194 days, the largest number in
/// three bytes.
pub(super) const MAX_KEPT_SECONDS: i32 = 0xFF_FFFF;

/// Number of lines (buckets) of an empty table.
const FIRST_LINES: usize = 4;

/// Number of adjacent lines (buckets) that one step of removing ended nonces visits.
const LINES_PER_STEP: usize = 32;

/// Number of insertions between two steps of sweeping (removing ended nonces). So four lines are
/// visited for each insertion. A table is at least 3/8 full when it has just grown, so the whole
/// table is visited within a sixth of a nonce's lifetime.
const INSERTIONS_PER_STEP: u32 = 8;

/// The time at which a nonce was stored and the time at which it expires, in seconds from the
/// store's base. They differ by at least one second and at most [`MAX_KEPT_SECONDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeldNonce {
    pub(super) first: i32,
    pub(super) kept: i32,
}

/// Eight bytes of a salted hash. Its bits are random, so they are used directly to select a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct NonceHash(pub(super) [u32; 2]);

#[derive(Clone, Copy)]
#[repr(align(64))]
struct TableLine {
    ids: [[u32; 2]; PLACES],
    first: [i32; PLACES],
    /// Retention of each entry in seconds, low byte first; zero in an empty slot.
    length: [[u8; 3]; PLACES],
    /// Number of nonces that were put into later lines because this line was full.
    passed: u32,
}

const FREE_LINE: TableLine =
    TableLine { ids: [[0; 2]; PLACES], first: [0; PLACES], length: [[0; 3]; PLACES], passed: 0 };

impl TableLine {
    /// Returns the nonce in a slot, or `None` if the slot is empty.
    fn get(&self, place: usize) -> Option<HeldNonce> {
        let [low, middle, high] = self.length[place];
        let length = i32::from_le_bytes([low, middle, high, 0]);
        let first = self.first[place];
        (length != 0).then(|| HeldNonce { first, kept: first.saturating_add(length) })
    }

    fn set(&mut self, place: usize, entry: HeldNonce) {
        // The length of every valid entry is in range. If it is not, the longer retention is the
        // safe choice.
        let length = entry.kept.saturating_sub(entry.first).clamp(1, MAX_KEPT_SECONDS);
        let [low, middle, high, _] = length.to_le_bytes();
        self.first[place] = entry.first;
        self.length[place] = [low, middle, high];
    }

    fn clear(&mut self, place: usize) {
        self.length[place] = [0; 3];
    }
}

const _: () = assert!(size_of::<TableLine>() == 64, "a line of the table is one of the caches");

pub(super) struct Shard {
    /// The lines of the table; their number is a power of two.
    lines: Vec<TableLine>,
    count: usize,
    /// Index of the line at which the next step of sweeping (removing ended nonces) begins.
    next_line: usize,
    insertions: u32,
    /// No nonce of the table ends before this second.
    earliest: i32,
    /// The same bound for the lines that the current round of sweeping has visited, and for nonces
    /// added since the round began.
    next_earliest: i32,
}

impl Default for Shard {
    fn default() -> Self {
        let lines = vec![FREE_LINE; FIRST_LINES];
        let (earliest, next_earliest) = (i32::MAX, i32::MAX);
        Shard { lines, count: 0, next_line: 0, insertions: 0, earliest, next_earliest }
    }
}

impl Shard {
    fn home(&self, id: &NonceHash) -> usize {
        // The hash has enough bits: a shard has fewer than 2^32 lines.
        id.0[0] as usize & (self.lines.len() - 1)
    }

    fn after(&self, line: usize) -> usize {
        (line + 1) & (self.lines.len() - 1)
    }

    fn find(&self, id: &NonceHash) -> Option<(usize, usize)> {
        let mut at = self.home(id);
        for _ in 0..self.lines.len() {
            let line = &self.lines[at];
            for place in 0..PLACES {
                if line.ids[place] == id.0 && line.get(place).is_some() {
                    return Some((at, place));
                }
            }
            if line.passed == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    pub(super) fn get(&self, id: &NonceHash) -> Option<HeldNonce> {
        let (line, place) = self.find(id)?;
        self.lines[line].get(place)
    }

    /// Inserts a nonce, or replaces the entry of the same id.
    pub(super) fn insert(&mut self, id: NonceHash, entry: HeldNonce) {
        self.insertions = self.insertions.wrapping_add(1);
        self.earliest = self.earliest.min(entry.kept);
        self.next_earliest = self.next_earliest.min(entry.kept);
        if let Some((line, place)) = self.find(&id) {
            self.lines[line].set(place, entry);
            return;
        }
        // If the table is at most three quarters full, most lines have a free slot, and few nonces
        // are far from the line that their id selects.
        if 4 * (self.count + 1) > 3 * PLACES * self.lines.len() {
            self.grow();
        }
        self.put(id.0, entry);
        self.count += 1;
    }

    /// Puts an entry into the first free slot. The caller has checked that the table has room.
    fn put(&mut self, id: [u32; 2], entry: HeldNonce) {
        let mut at = self.home(&NonceHash(id));
        loop {
            let line = &mut self.lines[at];
            if let Some(place) = line.length.iter().position(|length| *length == [0; 3]) {
                line.ids[place] = id;
                line.set(place, entry);
                return;
            }
            line.passed += 1;
            at = self.after(at);
        }
    }

    fn grow(&mut self) {
        let lines = vec![FREE_LINE; 2 * self.lines.len()];
        let old = std::mem::replace(&mut self.lines, lines);
        for line in old {
            for place in 0..PLACES {
                if let Some(entry) = line.get(place) {
                    self.put(line.ids[place], entry);
                }
            }
        }
        // The new table has different lines, so the round of sweeping starts again.
        (self.next_line, self.next_earliest) = (0, i32::MAX);
    }

    fn remove(&mut self, line: usize, place: usize) {
        let mut at = self.home(&NonceHash(self.lines[line].ids[place]));
        while at != line {
            self.lines[at].passed -= 1;
            at = self.after(at);
        }
        self.lines[line].clear(place);
        self.count -= 1;
    }

    /// Removes some ended nonces if it is time for a step of sweeping, and returns how many.
    pub(super) fn sweep(&mut self, now: i32) -> usize {
        if self.earliest > now || self.insertions < INSERTIONS_PER_STEP {
            return 0;
        }
        self.insertions = 0;
        self.step(now)
    }

    /// Removes ended nonces from a full table until a slot is free or all lines were visited. If no
    /// slot became free, this is not tried again before the next second in which a nonce ends.
    pub(super) fn make_room(&mut self, now: i32) -> usize {
        for _ in 0..=2 * self.lines.len().div_ceil(LINES_PER_STEP) {
            if self.earliest > now {
                break;
            }
            let removed = self.step(now);
            if removed > 0 {
                return removed;
            }
        }
        0
    }

    fn step(&mut self, now: i32) -> usize {
        let mut removed = 0;
        let end = (self.next_line + LINES_PER_STEP).min(self.lines.len());
        for line in self.next_line..end {
            for place in 0..PLACES {
                match self.lines[line].get(place) {
                    None => {}
                    Some(entry) if entry.kept <= now => {
                        self.remove(line, place);
                        removed += 1;
                    }
                    Some(entry) => self.next_earliest = self.next_earliest.min(entry.kept),
                }
            }
        }
        self.next_line = end;
        if end == self.lines.len() {
            self.earliest = std::mem::replace(&mut self.next_earliest, i32::MAX);
            self.next_line = 0;
        }
        removed
    }
}

#[cfg(test)]
mod tests;
