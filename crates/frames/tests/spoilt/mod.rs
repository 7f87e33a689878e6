//! Bodies of which bytes were changed.

use arrow_array::RecordBatch;

/// Copies of a good body, each with a byte or two changed; the same ones in each run.
pub fn bodies(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 7u64;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    std::iter::repeat_with(move || {
        let mut body = good.to_vec();
        for _ in 0..1 + draw(2) {
            let at = draw(body.len());
            body[at] = [body[at].wrapping_add(1), 0xFF, 0, 0x80, draw(256) as u8][draw(5)];
        }
        body
    })
}

/// Has arrow-rs look at all that was read.
pub fn check(batches: &[RecordBatch]) {
    for column in batches.iter().flat_map(RecordBatch::columns) {
        column.to_data().validate_full().expect("what arrow-rs promises");
    }
}
