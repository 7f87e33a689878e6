//! Joining, leaving, and the recovery of the dead, whose ids others take. The byte locks are the kernel's: a
//! mutex stands for it.

use super::*;
use crate::error::Error;
use crate::participants::{self, Kernel, Me, Participant, Participants, Seen};
use crate::recovery::see_to;
use loom::sync::Mutex;

/// Who holds the lock of each id; nobody is 0.
struct Host(Mutex<[u8; 3]>);

/// One process's description of the file.
#[derive(Clone, Copy)]
pub(super) struct Description<'a> {
    host: &'a Host,
    number: u8,
}

/// The pid that the dead one had, and that another process has now.
const REUSED: u32 = 7;

fn me(pid: u32) -> Me {
    Me { pid, start: u64::from(pid) * 10, namespaces: 1 }
}

impl Kernel for Description<'_> {
    fn try_lock(&self, id: u8) -> Result<bool, Error> {
        let holder = &mut self.host.0.lock().unwrap()[id as usize];
        let free = [0, self.number].contains(holder);
        if free {
            *holder = self.number;
        }
        Ok(free)
    }

    fn unlock(&self, id: u8) -> Result<(), Error> {
        let holder = &mut self.host.0.lock().unwrap()[id as usize];
        if *holder == self.number {
            *holder = 0;
        }
        Ok(())
    }

    fn locked(&self, id: u8) -> bool {
        ![0, self.number].contains(&self.host.0.lock().unwrap()[id as usize])
    }

    fn process(&self, pid: u32) -> Seen {
        Seen::Runs(me(pid).start)
    }
}

pub(super) struct Members {
    entries: Vec<Participant>,
    host: Host,
    ring: Arc<Ring>,
    /// What belongs to who has the id, alone.
    seats: Vec<UnsafeCell<u32>>,
}

impl Members {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            entries: (0..=places).map(|_| Participant::new()).collect(),
            host: Host(Mutex::new([0; 3])),
            ring: Ring::new(0),
            seats: (0..=places).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    /// As the process with this description sees them.
    pub(super) fn by(&self, number: u8) -> Participants<'_, Description<'_>> {
        let kernel = Description { host: &self.host, number };
        Participants { entries: &self.entries, kernel }
    }

    pub(super) fn join(&self, number: u8, pid: u32) -> Option<(u8, participants::Entry)> {
        let joined = self.by(number).join(me(pid), 1).unwrap();
        joined.inspect(|(id, _)| self.sit(*id, pid))
    }

    pub(super) fn sit(&self, id: u8, pid: u32) {
        // SAFETY: loom checks that nobody else is there.
        self.seats[id as usize].with_mut(|seat| unsafe { *seat = pid });
    }

    fn see_to(&self, number: u8, id: u8) -> bool {
        let ends = Ends { alone: false, max_deliveries: 5 };
        let (slots, pool) = (self.ring.slots(), self.ring.pool());
        see_to(id, me(90), self.by(number), ends, slots, pool, None)
    }

    /// The kernel lets go of a dead one's locks.
    fn dies(&self, number: u8) {
        let mut locks = self.host.0.lock().unwrap();
        locks.iter_mut().filter(|holder| **holder == number).for_each(|holder| *holder = 0);
    }
}

/// P2, P6, C19: two join, of whom one may leave again, while a third leaves and another one looks for the dead:
/// each has a place of its own, in a life of its own, and none that lives is taken for dead.
#[test]
fn each_place_is_taken_once() {
    for stays in [true, false] {
        model(move || {
            let members = Members::new(2);
            let (first, entry) = members.join(1, 1).unwrap();
            let joining: Vec<_> = [(2, true), (3, stays)]
                .into_iter()
                .map(|(number, stays)| {
                    let members = members.clone();
                    thread::spawn(move || {
                        let joined = members.join(number, number.into());
                        if let (Some((id, entry)), false) = (joined, stays) {
                            members.sit(id, 0);
                            members.by(number).leave(id, entry);
                        }
                        joined.map(|(id, entry)| (id, entry, stays))
                    })
                })
                .collect();
            members.sit(first, 0);
            members.by(1).leave(first, entry);
            for id in 1..=2 {
                members.see_to(4, id);
            }
            let mut lives = vec![(first, entry.incarnation())];
            let mut held = [0; 3];
            for (id, entry, stays) in joining.into_iter().filter_map(|one| one.join().unwrap()) {
                lives.push((id, entry.incarnation()));
                if stays {
                    held[id as usize] = entry.pid() as u8;
                    assert_eq!(members.by(4).entry(id), entry, "a living one was freed");
                    assert!(members.by(4).alive(id, entry, me(90)));
                }
            }
            let (count, _) = (lives.len(), lives.sort());
            lives.dedup();
            assert_eq!(lives.len(), count, "two had the same life of an id");
            assert!(count > 1, "the second place was free");
            assert_eq!(
                *members.host.0.lock().unwrap(),
                held,
                "locks of who is there, and no others"
            );
        });
    }
}

/// P6, C6, C20: one dies after a step of joining, or with a block claimed; two that look and the next one
/// to join recover it, of whom the first may die at that. The next one has its id, here also its pid, and after 256 lives its tag, while
/// another one is still at the recovery: it keeps its entry and its block, and nothing of the dead is left.
#[test]
fn a_dead_entry_is_recovered_and_taken_again() {
    for (published, lives) in [(false, 0), (true, 0), (true, 255)] {
        model_deaths(move |victim| {
            let members = Members::new(1);
            let dead = Me { start: 1, ..me(REUSED) };
            let joining = members.by(1).take(1, dead).unwrap().unwrap();
            if published {
                let tag = members.by(1).publish(1, joining, dead, 1).tag(1);
                members.ring.pool().claim(64, &by(tag, 1), &mut fresh()).unwrap();
            }
            members.dies(1);
            let late = {
                let (members, victim) = (members.clone(), victim.clone());
                thread::spawn(move || victim.does(|| members.see_to(2, 1)))
            };
            members.see_to(3, 1);
            members.entries[1].pass(lives);
            let (id, entry) = members.join(3, REUSED).expect("the dead one's place is free");
            let tag = entry.tag(id);
            assert_eq!(tag == joining.tag(1), lives == 255);
            let claimed = members.ring.pool().claim(64, &by(tag, 2), &mut fresh());
            late.join().unwrap();
            assert_eq!(members.by(2).entry(id), entry, "a living one was freed");
            let blocks = members.ring.blocks.iter().map(|block| block.load());
            let used: Vec<Word> = blocks.filter(|word| !word.is_free()).collect();
            match claimed {
                Ok((place, word)) => {
                    assert_eq!(used, [word]);
                    members.ring.pool().release(place, word);
                }
                Err(_) => assert!(used.is_empty()),
            }
            members.by(3).leave(id, entry);
            assert!(members.by(2).entry(id).is_free());
            members.ring.assert_nothing_left();
        });
    }
}
