use super::*;

#[test]
fn workers_are_held_up_by_many_rows_and_by_large_ones() {
    let amount = |rows, bytes| Amount { rows, bytes };
    for (waiting, is_held_up) in [
        (amount(9, 99), false),
        (amount(10, 0), true),
        (amount(1, 100), true),
    ] {
        let backlog = Backlog::new(amount(10, 100));
        backlog.change(Amount::default(), waiting);
        // Never while the committer waits for them.
        backlog.hold_up(|| panic!("held up"));
        backlog.begin_storing();
        let mut times = 0;
        backlog.hold_up(|| {
            times += 1;
            if times == 3 {
                backlog.end_storing(waiting);
            }
        });
        assert_eq!(times > 0, is_held_up, "{waiting:?}");
    }
}
