//! Tests the table against a simple map: insertion, lookup and sweeping.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::*;

/// A pseudo-random generator (SplitMix64), which is good enough for tests.
struct SeededNumbers(u64);

impl SeededNumbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Checks that the table has exactly the entries of the simple map `model`, that each can be found,
/// and that every count is right.
fn check(shard: &Shard, model: &HashMap<[u32; 2], HeldNonce>) {
    assert_eq!(shard.count, model.len());
    let mut passed = vec![0_u32; shard.lines.len()];
    let mut found = 0;
    for (at, line) in shard.lines.iter().enumerate() {
        for place in 0..PLACES {
            let Some(entry) = line.get(place) else { continue };
            found += 1;
            assert_eq!(model.get(&line.ids[place]), Some(&entry));
            assert!(entry.kept >= shard.earliest);
            let mut from = shard.home(&NonceHash(line.ids[place]));
            while from != at {
                passed[from] += 1;
                from = shard.after(from);
            }
        }
    }
    assert_eq!(found, model.len());
    let counts: Vec<_> = shard.lines.iter().map(|line| line.passed).collect();
    assert_eq!(counts, passed);
    for (id, entry) in model {
        assert_eq!(shard.get(&NonceHash(*id)), Some(*entry));
    }
}

/// Inserts nonces whose ids select only a few lines (`homes`), so that these lines become full and
/// nonces are put into later lines. Compares the table with a simple map all the time.
fn any_run(seed: u64, homes: u64, lifetime: u64, insertions: i32) {
    let mut numbers = SeededNumbers(seed);
    let (mut shard, mut model) = (Shard::default(), HashMap::new());
    for i in 0..insertions {
        let now = i / 20;
        let removed = shard.sweep(now);
        let before = model.len();
        // Ended nonces may have been removed from the table. All others must be there.
        if removed > 0 {
            let lines = &shard;
            model.retain(|id, entry: &mut HeldNonce| {
                entry.kept > now || lines.get(&NonceHash(*id)).is_some()
            });
            assert_eq!(before - model.len(), removed);
        }
        let id = [
            u32::try_from(numbers.below(homes)).unwrap(),
            u32::try_from(numbers.below(1 << 14)).unwrap(),
        ];
        let kept = now + 1 + i32::try_from(numbers.below(lifetime)).unwrap();
        let entry = HeldNonce { first: now, kept };
        assert_eq!(shard.get(&NonceHash(id)), model.get(&id).copied());
        shard.insert(NonceHash(id), entry);
        model.insert(id, entry);
        if i % 97 == 0 {
            check(&shard, &model);
        }
    }
    check(&shard, &model);
    // When all nonces have ended, the full table removes every one of them, and then stops
    // sweeping.
    let end = insertions / 20 + i32::try_from(lifetime).unwrap();
    while shard.make_room(end) > 0 {}
    check(&shard, &HashMap::new());
    assert_eq!((shard.make_room(i32::MAX), shard.earliest), (0, i32::MAX));
}

#[test]
fn the_table_holds_the_same_entries_as_a_map() {
    for seed in 0..4 {
        for (homes, lifetime) in [(1, 5), (3, 40), (7, 400), (1 << 32, 60), (1 << 32, 3)] {
            any_run(seed, homes, lifetime, 3_000);
        }
    }
}

#[test]
fn a_table_wraps_around_at_its_end() {
    let (mut shard, mut model) = (Shard::default(), HashMap::new());
    // All ids select the last line of a table of any size.
    for i in 0..40 {
        let (id, entry) = ([u32::MAX, i], HeldNonce { first: 0, kept: 10 });
        shard.insert(NonceHash(id), entry);
        model.insert(id, entry);
        check(&shard, &model);
    }
    for _ in 0..100 {
        shard.step(10);
    }
    check(&shard, &HashMap::new());
}

#[test]
fn the_sweep_keeps_up_and_takes_small_steps() {
    let mut numbers = SeededNumbers(7);
    let mut shard = Shard::default();
    let (a_second, lifetime) = (200, 60);
    let mut most = 0;
    for i in 0..400 * a_second {
        let now = i / a_second;
        let removed = shard.sweep(now);
        assert!(removed <= PLACES * LINES_PER_STEP);
        let id = [numbers.next(), numbers.next()].map(|n| (n & 0xffff_ffff) as u32);
        shard.insert(NonceHash(id), HeldNonce { first: now, kept: now + lifetime });
        most = most.max(shard.count);
    }
    // The table has the live nonces, and at most a quarter more that have ended and wait to be
    // removed.
    let live = usize::try_from(a_second * lifetime).unwrap();
    assert!(most <= live + live / 4 + 200, "{most} {live}");
}

#[test]
fn an_entry_is_kept_to_the_second_up_to_the_longest_time() {
    for first in [i32::MIN, -1, 0, i32::MAX - MAX_KEPT_SECONDS] {
        for length in [1, 255, 256, 65_535, 65_536, MAX_KEPT_SECONDS - 1, MAX_KEPT_SECONDS] {
            let entry = HeldNonce { first, kept: first + length };
            let mut shard = Shard::default();
            shard.insert(NonceHash([1, 2]), entry);
            assert_eq!(shard.get(&NonceHash([1, 2])), Some(entry));
            assert_eq!(shard.make_room(entry.kept - 1), 0);
            assert_eq!(shard.make_room(entry.kept), 1);
            assert_eq!(shard.get(&NonceHash([1, 2])), None);
        }
    }
}
