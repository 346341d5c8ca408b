use super::*;
use std::collections::BTreeSet;

/// Items of which some fault, and what became of them all.
#[derive(Default)]
struct Items {
    guilty: BTreeSet<usize>,
    /// More than so many together fault, though none alone does.
    together_max: Option<usize>,
    /// After so many attempts there is nothing to call.
    attempts_max: Option<usize>,
    /// Answers that there is room for.
    room: Option<usize>,
    /// The first instance was used, and faults on whatever it is given.
    is_used: bool,
    attempts: usize,
    faults: usize,
    items_sent: usize,
    answers: Vec<(usize, &'static str)>,
    excused: usize,
}

impl Attempts for Items {
    fn attempt(&mut self, items: Range<usize>, share: Share) -> Result<(), Failed> {
        assert!(!items.is_empty() && share.items == items.len());
        self.attempts += 1;
        if self.attempts_max.is_some_and(|max| self.attempts > max) {
            return Err(Failed::Stopped(Stop::OutOfService("gone")));
        }
        if std::mem::take(&mut self.is_used) {
            self.faults += 1;
            return Err(Failed::Fault {
                fault: Fault::Deadline,
                was_used: true,
            });
        }
        self.items_sent += items.len();
        let too_many = self.together_max.is_some_and(|max| items.len() > max);
        if too_many || items.clone().any(|item| self.guilty.contains(&item)) {
            self.faults += 1;
            return Err(Failed::Fault {
                fault: Fault::Deadline,
                was_used: false,
            });
        }
        let answered = self.answers.len();
        if answered > 0 && self.room.is_some_and(|room| answered + items.len() > room) {
            return Err(Failed::Stopped(Stop::Full));
        }
        self.answers.extend(items.map(|item| (item, "answered")));
        Ok(())
    }
    fn blame(&mut self, item: usize, _: &Fault) {
        self.answers.push((item, "blamed"));
    }
    fn excuse(&mut self, items: usize, _: &Fault) {
        assert!(items > 0);
        self.excused += 1;
    }
    fn give_up(&mut self, rest: Range<usize>, reason: &'static str) {
        self.answers.extend(rest.map(|item| (item, reason)));
    }
}

/// Searches, and holds that each item has one answer, in order.
fn search(search: &mut Search, count: usize, mut items: Items) -> Items {
    search.run(count, &mut items);
    let answered: Vec<usize> = items.answers.iter().map(|(item, _)| *item).collect();
    assert_eq!(answered, (0..count).collect::<Vec<_>>());
    items
}

fn blamed(items: &Items) -> BTreeSet<usize> {
    let blamed = items
        .answers
        .iter()
        .filter(|(_, answer)| *answer == "blamed");
    blamed.map(|(item, _)| *item).collect()
}

#[test]
fn whatever_items_are_guilty_they_alone_are_blamed() {
    for count in 0..=7 {
        for set in 0..1u32 << count {
            for stride in [1, 2, 3, 5, usize::MAX] {
                let guilty: BTreeSet<usize> =
                    (0..count).filter(|item| set >> item & 1 == 1).collect();
                let items = Items {
                    guilty: guilty.clone(),
                    ..Items::default()
                };
                let items = search(&mut Search { stride }, count, items);
                assert_eq!(blamed(&items), guilty, "{count} {set:b} {stride}");
                assert_eq!(items.excused, 0);
            }
        }
    }
}

#[test]
fn a_clean_batch_is_one_call_and_one_guilty_item_of_many_a_few() {
    let mut state = Search::default();
    let clean = search(&mut state, 1024, Items::default());
    assert_eq!((clean.attempts, clean.items_sent), (1, 1024));
    for guilty in [0, 1, 511, 512, 1023] {
        let items = Items {
            guilty: [guilty].into(),
            ..Items::default()
        };
        let items = search(&mut Search::default(), 1024, items);
        assert!(items.attempts <= 48, "{guilty}: {}", items.attempts);
        assert!(
            items.items_sent <= 9 * 256,
            "{guilty}: {}",
            items.items_sent
        );
    }
}

#[test]
fn strides_grow_again_when_all_goes_well() {
    let mut state = Search { stride: 1 };
    let first = search(&mut state, 1024, Items::default());
    assert_eq!(first.attempts, 11);
    let second = search(&mut state, 1024, Items::default());
    assert_eq!(second.attempts, 1);
}

#[test]
fn one_guilty_item_in_a_hundred_costs_few_faults_and_few_items_sent_again() {
    let mut state = Search::default();
    let mut random = fastrand::Rng::with_seed(1);
    let (mut guilty, mut faults, mut sent, mut count) = (0, 0, 0, 0);
    for _ in 0..200 {
        let items = Items {
            guilty: (0..1024).filter(|_| random.u32(..100) == 0).collect(),
            ..Items::default()
        };
        let items = search(&mut state, 1024, items);
        guilty += items.guilty.len();
        faults += items.faults;
        sent += items.items_sent;
        count += 1024;
    }
    assert!(faults <= 3 * guilty, "{faults} faults of {guilty} items");
    assert!(sent <= 2 * count, "{sent} items sent of {count}");
}

#[test]
fn items_that_are_too_much_only_together_are_all_answered() {
    for together_max in [1, 2, 3, 100, 1023] {
        let items = Items {
            together_max: Some(together_max),
            ..Items::default()
        };
        let items = search(&mut Search::default(), 1024, items);
        assert_eq!(blamed(&items), BTreeSet::new());
        assert!(items.excused > 0);
    }
}

#[test]
fn what_there_is_no_room_for_is_left_and_nobody_is_blamed_for_it() {
    for (room, together_max) in [(1, 1), (5, 5), (5, 2), (100, 64), (100, 100), (1023, 1023)] {
        let mut state = Search::default();
        let (mut left, mut runs) = (1024, 0);
        while left > 0 {
            let mut items = Items {
                together_max: Some(together_max),
                room: Some(room),
                ..Items::default()
            };
            state.run(left, &mut items);
            let answered: Vec<usize> = items.answers.iter().map(|(item, _)| *item).collect();
            assert_eq!(answered, (0..answered.len()).collect::<Vec<_>>());
            assert!((1..=room.max(together_max)).contains(&answered.len()));
            assert_eq!(blamed(&items), BTreeSet::new());
            left -= answered.len();
            runs += 1;
        }
        assert!(runs <= 4 * 1024_usize.div_ceil(room), "{room}: {runs}");
    }
}

#[test]
fn an_item_alone_is_heard_again_when_the_instance_was_used() {
    for (count, guilty, faults, excused) in [
        (1, vec![], 1, 1),
        (1, vec![0], 2, 0),
        // Among others it is heard alone by a new instance anyway.
        (2, vec![0], 2, 0),
        (2, vec![], 1, 1),
    ] {
        let items = Items {
            guilty: guilty.iter().copied().collect(),
            is_used: true,
            ..Items::default()
        };
        let items = search(&mut Search::default(), count, items);
        assert_eq!(blamed(&items), guilty.iter().copied().collect());
        assert_eq!(
            (items.faults, items.excused),
            (faults, excused),
            "{count} {guilty:?}"
        );
    }
}

#[test]
fn what_cannot_be_called_any_more_is_given_up_from_there_on() {
    for attempts_max in 0..12 {
        let items = Items {
            guilty: [3, 4, 9].into(),
            attempts_max: Some(attempts_max),
            ..Items::default()
        };
        let items = search(&mut Search::default(), 16, items);
        let first = items
            .answers
            .iter()
            .position(|(_, answer)| *answer == "gone");
        let first = first.unwrap_or(items.answers.len());
        assert!(
            items.answers[first..]
                .iter()
                .all(|(_, answer)| *answer == "gone")
        );
    }
}

#[test]
fn a_share_is_that_of_its_items_and_never_too_short_to_run_in() {
    let second = Duration::from_secs(1);
    let share = |items, of| Share { items, of };
    for (part, deadline, expected) in [
        (Share::WHOLE, second, second),
        (share(1024, 1024), second, second),
        (share(512, 1024), second, second / 2),
        (share(1, 1024), second, DEADLINE_MIN),
        (
            share(1, 1024),
            Duration::from_millis(5),
            Duration::from_millis(5),
        ),
        (share(0, 0), second, DEADLINE_MIN),
    ] {
        assert_eq!(part.of(deadline), expected, "{part:?} of {deadline:?}");
    }
}
