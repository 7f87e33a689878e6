//! The pool: who claims blocks and runs, retires slabs and gives memory back, and dies at that.

use super::*;

const CHUNK: u64 = MEASURES.chunk_len;

/// What was there before: fresh chunks, a slab in the first one, or a run of two that is over.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Slab,
    Run,
}
use Before::{Nothing, Run, Slab};

impl Ring {
    fn after(before: Before, chunks: usize) -> Arc<Self> {
        let ring = Self::with_chunks(0, chunks);
        match before {
            Nothing => {}
            Slab => ring.claims(64, SECOND, 1),
            Run => ring.claims(2 * CHUNK, SECOND, 1),
        }
        ring
    }

    /// Claims a piece, if there is one, writes all of it, and gives it back.
    pub(super) fn claims(&self, len: u64, me: u16, nonce: u64) {
        if let Some((place, word)) = self.claim(len, me, nonce) {
            assert_eq!(self.pool().place(place.block), Some(place), "a consumer would not find it");
            self.fill(place, me);
            self.pool().release(place, word);
        }
    }

    /// Gives idle memory back.
    fn trims(&self, me: u16, nonce: u64) {
        self.pool().trim(me, nonce, &|offset, _| {
            self.chunk_is(offset, false);
            true
        });
    }

    /// By where it lies, and not by its word: a run and a block may share memory.
    fn fill(&self, place: Place, me: u16) {
        for at in (place.offset..place.offset + place.len).step_by(CHUNK as usize / 2) {
            self.backed[(at / CHUNK) as usize].with(|is| {
                // SAFETY: loom checks that nobody writes.
                assert!(unsafe { *is }, "memory that was given back");
            });
            self.write(PLACES as u32 + (at / (CHUNK / 2)) as u32, me.into());
        }
    }

    /// All has come back, and can be had.
    pub(super) fn assert_whole(&self) {
        self.assert_nothing_left();
        let whole = self.chunks.len() as u64 * CHUNK;
        let claimed = self.pool().claim(whole, &by(CONSUMER, 99), &mut fresh());
        assert_eq!(claimed.unwrap().0.len, whole);
    }
}

/// P6, C9: one who claims dies after any of its writes, beside another one who claims, and is recovered: pieces
/// never overlap, and all come back.
fn claimers(before: Before, chunks: usize, dying: u64, living: u64) {
    model_deaths(move |victim| {
        let ring = Ring::after(before, chunks);
        let (other, victim) = (ring.clone(), victim.clone());
        let dying = thread::spawn(move || {
            if victim.does(|| other.claims(dying, PRODUCER, 2)).is_none() {
                other.recover_among(PRODUCER);
            }
        });
        ring.claims(living, CONSUMER, 3);
        dying.join().unwrap();
        ring.assert_whole();
    });
}

/// P6, P11, C9: two who claim runs of two chunks, of three.
#[test]
fn runs_compete_whoever_dies() {
    for before in [Nothing, Slab, Run] {
        claimers(before, 3, 2 * CHUNK, 2 * CHUNK);
    }
}

/// P6, P11, C7, C9: one who claims a run and one who claims a block, where the slab is retired for the run, or a chunk of a
/// run that is over becomes a slab.
#[test]
fn runs_and_blocks_compete_whoever_dies() {
    for before in [Slab, Run] {
        claimers(before, 2, 2 * CHUNK, 64);
    }
    claimers(Slab, 1, 64, CHUNK);
}

/// P6, P11, C7, C9: two who claim blocks, the first ones of a slab or of its last life.
#[test]
fn blocks_compete_whoever_dies() {
    for before in [Nothing, Slab, Run] {
        claimers(before, 1, 64, 64);
    }
}

/// P6, P11, C26: idle memory is given back beside one who claims, and whoever of the two dies at that: nobody has memory
/// that was given back.
#[test]
fn memory_is_given_back_beside_claims_whoever_dies() {
    for (before, chunks, len) in [(Slab, 1, 64), (Slab, 1, CHUNK), (Run, 2, 2 * CHUNK)] {
        for trimmer_dies in [true, false] {
            model_deaths(move |victim| {
                let ring = Ring::after(before, chunks);
                let (other, victim) = (ring.clone(), victim.clone());
                let act = move |ring: &Ring, dies: bool| match dies == trimmer_dies {
                    true => ring.trims(if dies { PRODUCER } else { CONSUMER }, 2),
                    false => ring.claims(len, if dies { PRODUCER } else { CONSUMER }, 3),
                };
                let dying = thread::spawn(move || {
                    if victim.does(|| act(&other, true)).is_none() {
                        other.recover_among(PRODUCER);
                    }
                });
                act(&ring, false);
                dying.join().unwrap();
                ring.claims(chunks as u64 * CHUNK, SECOND, 4);
                ring.assert_whole();
            });
        }
    }
}

/// Rules 2 and 4 of `pool`: who claims a block and who retires its slab never both have it.
#[test]
fn pool_claims_and_retirement_exclude_each_other() {
    model(|| {
        let ring = Ring::new(0);
        let (place, word) = ring.pool().claim(64, &by(PRODUCER, 1), &mut fresh()).unwrap();
        ring.pool().release(place, word);
        let other = ring.clone();
        let whole = thread::spawn(move || {
            let Ok((place, word)) = other.pool().claim(1024, &by(CONSUMER, 2), &mut fresh()) else {
                return;
            };
            assert_eq!(place.len, 1024);
            other.write(PLACES as u32, 1);
            other.write(PLACES as u32 + 1, 1);
            other.pool().release(place, word);
        });
        if let Ok((place, word)) = ring.pool().claim(64, &by(PRODUCER, 3), &mut fresh()) {
            // By where the block lies, not by its word: a run and a block may share memory.
            let at = PLACES as u64 + place.offset / 512;
            ring.write(at as u32, 2);
            if place.len > 512 {
                ring.write(at as u32 + 1, 2);
            }
            ring.pool().release(place, word);
        }
        whole.join().unwrap();
        ring.assert_nothing_left();
    });
}

/// P6, P9: whoever has a frame in a slab finds its place, also while another one tries to retire the slab.
#[test]
fn pool_places_are_found_beside_a_retirement() {
    model(|| {
        let ring = Ring::new(0);
        let claim = |ring: &Ring, len, owner, nonce| {
            ring.pool().claim(len, &by(owner, nonce), &mut fresh())
        };
        let (place, word) = claim(&ring, 64, PRODUCER, 1).unwrap();
        ring.pool().release(place, word);
        let other = ring.clone();
        let whole = thread::spawn(move || {
            if let Ok((place, word)) = claim(&other, 1024, CONSUMER, 2) {
                other.pool().release(place, word);
            }
        });
        if let Ok((place, word)) = claim(&ring, 64, PRODUCER, 3) {
            // What a consumer does that has taken the frame.
            assert_eq!(ring.pool().place(place.block).unwrap().offset, place.offset);
            ring.pool().release(place, word);
        }
        whole.join().unwrap();
    });
}

/// P6: who changes the pool dies with a chunk taken, or with a block claimed, beside a living
/// claimer and two who recover.
#[test]
fn pool_recovery_races_with_a_claimer() {
    for claimed in [false, true] {
        model(move || {
            let ring = Ring::new(0);
            if claimed {
                ring.pool().claim(64, &by(PRODUCER, 1), &mut fresh()).unwrap();
            } else {
                ring.pool().take_chunk(0, &by(PRODUCER, 1), false).unwrap();
            }
            let other = ring.clone();
            let second = thread::spawn(move || other.recover(PRODUCER));
            ring.recover(PRODUCER);
            let claimed = ring.pool().claim(1024, &by(CONSUMER, 2), &mut fresh());
            second.join().unwrap();
            if let Ok((place, word)) = claimed {
                ring.pool().release(place, word);
            }
            ring.assert_nothing_left();
            ring.pool().claim(1024, &by(CONSUMER, 3), &mut fresh()).unwrap();
        });
    }
}
