//! What is fetched before it is needed.
//!
//! A cache line takes longer from core to core than all else that a small frame needs, and who asks for one line after the other
//! waits for each. So an end that is at work asks early for what stands a little further on. These are hints; nothing depends on them.
//!
//! They pay only where the other end is not at work, since it would have to get its lines back. Neither end looks at the other's words
//! to know that.

use crate::segment::Mapping;
use crate::sync;

/// A consumer fetches so many places ahead,
const TO_READ: u64 = 8;
/// once so many frames in a row were there when they were looked for: the producers are likely to be that far ahead.
const IN_A_ROW: u32 = 16;

/// A producer fetches so many places ahead, if twice as many are vacant: where it is alone,
pub(super) const ALONE: u64 = 6;
/// and among others, who may be there first,
pub(super) const AMONG: u64 = 3;
/// once a frame follows the last one after no more nanoseconds than this. Where an answer is waited for, the consumer is too near.
const RUSH: u64 = 250;

/// How many frames were there in a row.
#[derive(Debug, Default)]
pub(super) struct Behind(u32);

impl Behind {
    /// There was a frame at a position.
    #[inline(always)]
    pub(super) fn found(&mut self, mapping: &Mapping, position: u64) {
        if self.0 < IN_A_ROW {
            self.0 += 1;
            return;
        }
        let (slots, ahead) = (mapping.slots(), position.wrapping_add(TO_READ));
        // The lease will be written there, too.
        sync::fetch_to_write(slots.word(ahead));
        sync::fetch(mapping.cell(slots.home(ahead)).0);
    }

    /// There was none.
    #[inline(always)]
    pub(super) fn caught_up(&mut self) {
        self.0 = 0;
    }
}

/// When the last frame was sent.
#[derive(Debug, Default)]
pub(super) struct Rush(u64);

impl Rush {
    /// A frame is being sent at a time, to a position from which on so many places are known to be vacant.
    #[inline(always)]
    pub(super) fn sends<const AHEAD: u64>(
        &mut self,
        mapping: &Mapping,
        now: u64,
        position: u64,
        vacant: u64,
    ) {
        let since = now.wrapping_sub(std::mem::replace(&mut self.0, now));
        if since > RUSH || vacant <= 2 * AHEAD {
            return;
        }
        let (slots, ahead) = (mapping.slots(), position.wrapping_add(AHEAD));
        let frame = mapping.cell(slots.home(ahead)).0;
        sync::fetch_to_write(slots.word(ahead));
        sync::fetch_to_write(frame);
        sync::fetch_to_write(frame.wrapping_add(64));
    }
}
