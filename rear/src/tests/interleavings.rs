//! Whatever the order of events: nothing is ever sold twice, and in the end every flavour is what it was.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Reserve(u8, u64, u64),
    Bind(u8),
    Peer(u8),
    Close(u8),
    Gone(u8),
    LookUp(u8, u64),
    ReleaseLocal(u8),
    GoneLocal,
    Restart,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0u8..6;
    prop_oneof![
        4 => (few.clone(), 1u64..10, 1u64..20).prop_map(|(id, cpu, memory)| Step::Reserve(id, cpu, memory)),
        2 => few.clone().prop_map(Step::Bind),
        1 => few.clone().prop_map(Step::Peer),
        2 => few.clone().prop_map(Step::Close),
        2 => few.clone().prop_map(Step::Gone),
        2 => (few.clone(), 1u64..4000).prop_map(|(id, millis)| Step::LookUp(id, millis)),
        1 => few.prop_map(Step::ReleaseLocal),
        2 => Just(Step::GoneLocal),
        1 => Just(Step::Restart),
        1 => Just(Step::Settle),
    ]
}

/// Tells the manager that every local use which is being cleared is gone.
fn locals_gone(n: &mut Node) {
    let locals: Vec<_> = n.manager.living().filter(|a| a.role.name() == "Local").map(|a| a.id).collect();
    for allocation in locals {
        n.handle(Input::Gone { allocation });
    }
}

fn take(n: &mut Node, step: &Step) -> Vec<Effect> {
    match step {
        Step::Reserve(id, cpu, memory) => {
            let part = resources(&format!("{}m", cpu * 500), &format!("{}Mi", memory * 512));
            n.handle(reserve(*id, part, "9EUR/h"))
        }
        Step::Bind(id) => n.handle(Input::Bind { allocation: allocation(*id), contract: contract(*id) }),
        Step::Peer(id) => n.handle(Input::Peered { allocation: allocation(*id), trace: Trace::None }),
        Step::Close(id) => n.handle(Input::Close { allocation: allocation(*id), reason: EndReason::Released }),
        Step::Gone(id) => n.handle(Input::Gone { allocation: allocation(*id) }),
        Step::LookUp(id, millis) => n.handle(look_up((*id).into(), &format!("cpu>={millis}m, memory>=100Mi"))),
        Step::ReleaseLocal(id) => n.handle(Input::Release { request: request((*id).into()) }),
        Step::GoneLocal => {
            locals_gone(n);
            Vec::new()
        }
        Step::Restart => n.restart(),
        Step::Settle => n.after(Span::secs(5)),
    }
}

proptest! {
    #[test]
    fn nothing_is_oversold_and_everything_comes_back(steps in proptest::collection::vec(step(), 1..60)) {
        let mut n = Node::offering();
        let before = n.manager.flavours().next().unwrap();
        let mut epoch = before.epoch;
        for step in &steps {
            let free = n.manager.flavours().next().unwrap().available;
            let had: BTreeMap<_, _> = n.manager.living().map(|a| (a.id, a.resources)).collect();
            take(&mut n, step);
            // Whatever is there that was not there before fitted into what was free.
            let mut taken = Resources::default();
            for a in n.manager.living().filter(|a| !had.contains_key(&a.id)) {
                taken = taken.checked_add(&a.resources).unwrap();
            }
            prop_assert!(free.holds(&taken).is_ok(), "{step:?} took {taken} of {free}");
            let mut sum = Resources::default();
            for a in n.manager.living() {
                sum = sum.checked_add(&a.resources).unwrap();
            }
            let book = n.manager.books().next().unwrap();
            prop_assert_eq!(book.taken, sum);
            prop_assert_eq!(book.base.checked_sub(&sum).unwrap(), book.available);
            // The epoch grows exactly when something has changed, and never falls.
            let now = n.manager.flavours().next().unwrap();
            prop_assert!(now.epoch >= epoch);
            prop_assert!(now.available == free || now.epoch > epoch);
            epoch = now.epoch;
            // And what was kept makes the same of it.
            prop_assert_eq!(n.kept(Table::Allocations), n.manager.living().count());
        }
        for id in 0..6 {
            take(&mut n, &Step::Close(id));
            take(&mut n, &Step::Gone(id));
            take(&mut n, &Step::ReleaseLocal(id));
        }
        take(&mut n, &Step::Settle);
        locals_gone(&mut n);
        let after = n.manager.flavours().next().unwrap();
        prop_assert_eq!(Flavour { epoch: before.epoch, ..after }, before);
        prop_assert_eq!((n.manager.living().count(), n.kept(Table::Allocations), n.manager.pending()), (0, 0, 0));
    }
}
