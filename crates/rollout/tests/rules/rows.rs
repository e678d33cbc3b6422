//! Holds `rows.md` to the tests: every rule has its row, and every row its tests.

const ROWS: &str = include_str!("rows.md");

/// Where the tests of the rows are.
const SOURCES: [&str; 7] = [
    include_str!("tasks.rs"),
    include_str!("attempts.rs"),
    include_str!("conflicts.rs"),
    include_str!("schedule.rs"),
    include_str!("orders.rs"),
    include_str!("pushes.rs"),
    include_str!("gates.rs"),
];

#[test]
fn every_rule_has_a_row_and_every_row_tests_that_are_there() {
    let named: Vec<&str> = ROWS
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter(|row| row.starts_with(['T', 'G', 'C']))
        .map(|row| row.split(" |").next().unwrap())
        .collect();
    let wanted = (1..=24).map(|n| format!("T{n}"));
    let wanted = wanted.chain((1..=8).map(|n| format!("G{n}"))).chain((1..=6).map(|n| format!("C4.{n}")));
    assert_eq!(named, wanted.collect::<Vec<_>>());
    for row in ROWS.lines().filter(|line| ["| T", "| G", "| C"].iter().any(|row| line.starts_with(row))) {
        let tests: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test speaks of {row}");
        for test in tests {
            let written = format!("#[test]\nfn {test}()");
            assert!(SOURCES.iter().any(|source| source.contains(&written)), "there is no test {test}");
        }
    }
}

#[test]
fn every_test_that_is_named_after_a_rule_stands_in_a_row() {
    let of_rules = |name: &&str| name.starts_with('t') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    for source in SOURCES {
        let tests = source.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
        for test in tests.filter(of_rules) {
            assert!(ROWS.contains(&format!("`{test}`")), "{test} stands in no row");
        }
    }
}
