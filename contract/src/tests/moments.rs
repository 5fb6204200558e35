//! At each moment of a whole life along a chain: a disk that takes no promises for a while, a partner that is suspended or
//! gone, and a clock that jumps. Afterwards all hops agree, and nothing is held for nobody.

use kernel::{Span, Ticket};
use rear_proto::Mode;

use super::{hops::*, samples::*, world::*};
use crate::Input;

/// What happens at the moment.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// A node's disk takes no promises from now on.
    Storage(usize),
    /// The domains have suspended each other from now on.
    Suspended,
    /// A node hears that its neighbour is no longer to be spoken to.
    Gone(usize, usize),
    /// Both hear so of each other.
    Parted(usize, usize),
    /// A node's clock jumps by that many seconds.
    Jump(usize, u64),
}

impl Blow {
    fn strike(self, world: &mut World) {
        match self {
            Self::Storage(node) => world.give(node, Input::Storage { ok: false }),
            Self::Suspended => world.suspended = true,
            Self::Gone(node, other) => world.give(node, Input::MemberGone { node: id(other) }),
            Self::Parted(node, other) => {
                world.give(node, Input::MemberGone { node: id(other) });
                world.give(other, Input::MemberGone { node: id(node) });
            }
            Self::Jump(node, seconds) => {
                world.nodes[node].skew = world.nodes[node].skew.plus(Span::secs(seconds));
                world.give(node, Input::ClockJumped);
            }
        }
    }
}

/// Lives a whole life with a blow before its event of this number; says whether there are as many events.
fn live_with(mode: Mode, blow: Blow, at: usize) -> bool {
    let mut world = chain();
    let mut step = 0;
    let mut deliver_all = |world: &mut World| {
        loop {
            if step == at {
                blow.strike(world);
            }
            step += 1;
            let Some(message) = world.wire.pop_front() else { break };
            world.deliver(message);
        }
    };
    world.buy(wish(id(SC), 1, mode));
    deliver_all(&mut world);
    world.purchase(1);
    deliver_all(&mut world);
    if lives(&world) == [1, 2, 2, 1] {
        world.activate_chain();
    }
    for view in world.live(C) {
        world.give(C, Input::RenewByHand { ticket: Ticket(u64::MAX), contract: view.id });
    }
    deliver_all(&mut world);
    world.end(1);
    deliver_all(&mut world);
    world.suspended = false;
    for node in [C, SC, SP, P4] {
        world.give(node, Input::Storage { ok: true });
        world.check_backing(node);
    }
    world.run(Span::secs(400));
    world.check_chain();
    assert_eq!(lives(&world), [0; 4], "{mode:?} {blow:?} {at}");
    for node in [C, SC, SP, P4] {
        assert!(world.nodes[node].grants.is_empty(), "{mode:?} {blow:?} {at}: nothing is held for nobody at {node}");
        let manager = &world.nodes[node].manager;
        let left = (manager.sales.len(), manager.buys.len(), manager.fronts.len(), manager.renewing.len());
        assert_eq!((left, manager.pending.len(), manager.allocations.len()), ((0, 0, 0, 0), 0, 0));
    }
    assert!(!world.refusals(1).is_empty() || !world.ends(1).is_empty(), "{mode:?} {blow:?} {at}: it came to no end");
    at < step
}

fn live_with_each(blows: &[Blow]) {
    for mode in [Mode::Direct, Mode::Hold] {
        for blow in blows {
            let mut at = 0;
            while live_with(mode, *blow, at) {
                at += 1;
            }
            assert!(at > 10, "the life has that many messages");
        }
    }
}

#[test]
fn a_disk_that_takes_no_promises_at_any_moment_leaves_all_agreed() {
    live_with_each(&[C, SC, SP, P4].map(Blow::Storage));
}

#[test]
fn a_partner_that_is_suspended_at_any_moment_leaves_all_agreed() {
    live_with_each(&[Blow::Suspended]);
}

#[test]
fn a_neighbour_that_is_gone_at_any_moment_leaves_all_agreed() {
    let links = [(C, SC), (SC, C), (SC, SP), (SP, SC), (SP, P4), (P4, SP)];
    live_with_each(&links.map(|(node, other)| Blow::Gone(node, other)));
    live_with_each(&[(C, SC), (SC, SP), (SP, P4)].map(|(node, other)| Blow::Parted(node, other)));
}

#[test]
fn a_clock_that_jumps_at_any_moment_leaves_all_agreed() {
    for seconds in [40, 4000] {
        live_with_each(&[C, SC, SP, P4].map(|node| Blow::Jump(node, seconds)));
    }
}
