//! How much of a thread's stack is left to walks that call themselves.
//!
//! Depth alone does not bound them: threads may be given little stack (`threading.stack_size`), and a walk's steps are of
//! several sizes.

use std::cell::Cell;

/// What stays for who is called at the bottom: what is raised, other people's methods.
const KEPT: usize = 48 << 10;
/// So deep every thread's stack goes; most of what is walked is no deeper, and is not slowed down.
const FREE: usize = 8;
/// Not looked at yet.
const UNKNOWN: usize = usize::MAX;

thread_local! {
    /// Below this address of the thread's stack no walk goes deeper.
    static LOWEST: Cell<usize> = const { Cell::new(UNKNOWN) };
}

/// Whether the stack is too short for a walk that is so deep to go on.
#[inline(always)]
pub(crate) fn is_short(depth: usize) -> bool {
    depth >= FREE && is_at_end()
}

#[inline(never)]
fn is_at_end() -> bool {
    let mark = 0u8;
    let here = std::ptr::from_ref(&mark).addr();
    // At a thread's end there is nowhere to look it up.
    LOWEST
        .try_with(|lowest| {
            if lowest.get() == UNKNOWN {
                lowest.set(end_of_stack().saturating_add(KEPT));
            }
            // Far below it is another stack, of a coroutine perhaps, of which nothing is known.
            let lowest = lowest.get();
            here < lowest && lowest - here <= KEPT
        })
        .unwrap_or(false)
}

/// The lowest address of this thread's stack; 0 where that is not told.
#[cold]
#[cfg(target_os = "linux")]
fn end_of_stack() -> usize {
    let mut attributes = std::mem::MaybeUninit::uninit();
    // SAFETY: the thread that runs, and room for its attributes.
    let told = unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) };
    if told != 0 {
        return 0;
    }
    // SAFETY: the call has filled them in.
    let mut attributes = unsafe { attributes.assume_init() };
    let (mut lowest, mut len, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: attributes that are initialised, and room for both answers.
    let stack = unsafe { libc::pthread_attr_getstack(&attributes, &mut lowest, &mut len) };
    // SAFETY: attributes that are initialised, and room for the answer.
    let guarded = unsafe { libc::pthread_attr_getguardsize(&attributes, &mut guard) };
    // SAFETY: attributes that are initialised, and not used again.
    unsafe { libc::pthread_attr_destroy(&mut attributes) };
    match (stack, guarded) {
        // Some libraries count the guard among it.
        (0, 0) => lowest.addr() + guard,
        (0, _) => lowest.addr(),
        _ => 0,
    }
}

#[cold]
#[cfg(not(target_os = "linux"))]
fn end_of_stack() -> usize {
    0
}

/// What is said of what goes too deep for it.
pub(crate) const WHAT: &str =
    "containers inside each other go too deep for the stack of this thread";
pub(crate) const HINT: &str =
    "flatten it, or take a thread with more stack: threading.stack_size(1 << 20)";
