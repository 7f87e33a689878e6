//! Any bytes under any header are refused, or give views that lie within them, and an array that
//! is read is written again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring_codec::format::ndarray::{self, Element, Texts};
use slipring_codec::{Body, Content, Part, Plan};

fn check_within(body: &[u8], part: Part<'_>) {
    assert_eq!(&body[part.offset..][..part.bytes.len()], part.bytes);
    assert_eq!(body[part.offset..].as_ptr(), part.bytes.as_ptr());
}

fn write(plan: &Plan<'_>, data: &[u8]) -> Vec<u8> {
    let mut body = vec![0xEE; plan.body_len()];
    plan.write(&mut body).expect("the length is the plan's").copy_from_slice(data);
    body
}

fuzz_target!(|input: &[u8]| {
    let Some((&[format, flags, code_low, code_high], body)) = input.split_first_chunk() else {
        return;
    };
    let type_code = u16::from_le_bytes([code_low, code_high]);
    let Ok(opened) = Body::open(format, flags.into(), type_code, body) else { return };
    let parts = opened.parts();
    parts.buffers().chain(parts.head()).chain(parts.meta()).for_each(|p| check_within(body, p));
    let meta = opened.meta();
    match opened.content() {
        Ok(Content::Raw(part)) => check_within(body, part),
        Ok(Content::Ndarray(view)) => {
            check_within(body, view.data);
            let last: u64 = (view.descriptor.shape().iter())
                .zip(view.descriptor.strides().iter())
                .map(|(length, stride)| length.saturating_sub(1) * stride)
                .sum();
            let item = view.descriptor.item_size();
            let texts = matches!(view.descriptor.element(), Element::String(_));
            assert!(view.descriptor.is_empty() || texts || last as usize + item == view.data.bytes.len());
            if texts && let Ok(texts) = Texts::open(view.data.bytes, view.descriptor.len()) {
                assert!(texts.count() <= view.descriptor.len());
            }

            let meta = meta.ok().and(opened.meta_part()).map(|part| part.bytes);
            let plan = ndarray::plan(&view.descriptor, meta).expect("what was read can be written");
            let again = write(&plan, view.data.bytes);
            let body = Body::open(plan.format().code(), plan.flags(), plan.type_code(), &again);
            let content = body.and_then(|body| body.content());
            let Ok(Content::Ndarray(again)) = content else { panic!("{content:?}") };
            assert_eq!(again.descriptor, view.descriptor);
            assert_eq!(again.data.bytes, view.data.bytes);
        }
        Ok(_) | Err(_) => {}
    }
});
