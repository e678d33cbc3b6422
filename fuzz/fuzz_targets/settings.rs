//! The settings file: what is good is written and read again as the same, what is wrong is told with its line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaru::fuzzing::settings;

fuzz_target!(|text: &str| match settings(text) {
    Ok(found) => {
        let mut again = String::new();
        for (name, line, values) in &found {
            assert!((1..=text.lines().count()).contains(line));
            let values: Vec<_> = values.iter().map(|value| literal(value)).collect();
            let value = match values.as_slice() {
                [value] => value.clone(),
                values => format!("[{}]", values.join(", ")),
            };
            again.push_str(&format!("{} = {value}\n", name.replace('_', "-")));
        }
        let without_lines = |found: Vec<(String, usize, Vec<String>)>| -> Vec<_> {
            found.into_iter().map(|(name, _, values)| (name, values)).collect()
        };
        assert_eq!(settings(&again).map(without_lines), Ok(without_lines(found)), "{again}");
    }
    Err(told) => {
        let line = told.strip_prefix("otaru.toml, line ").and_then(|rest| rest.split(':').next());
        let line: usize = line.and_then(|line| line.parse().ok()).expect("the line is told");
        assert!((1..=1 + text.matches('\n').count()).contains(&line), "{told}");
    }
});

/// A text of TOML.
fn literal(value: &str) -> String {
    let escaped: String = value.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}
