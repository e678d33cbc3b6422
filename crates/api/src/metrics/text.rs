//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use server::{Family, Kind, Ranges, Values};

/// Families as they travel, a line a number.
pub(super) fn text(families: &[Family]) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for family in families {
        write_family(&mut out, family);
    }
    out
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn write_family(out: &mut String, family: &Family) {
    let Family { name, help, values, .. } = family;
    let _ = writeln!(out, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
    let _ = writeln!(out, "# TYPE {name} {}", kind(family.kind));
    match values {
        Values::One(value) => line(out, name, "", &[], *value),
        Values::Labelled(values) => {
            values.iter().for_each(|labelled| line(out, name, "", &labelled.labels, labelled.value));
        }
        Values::Ranges(ranges) => write_ranges(out, name, ranges),
    }
}

fn write_ranges(out: &mut String, name: &str, ranges: &Ranges) {
    for (bound, count) in &ranges.at_most {
        let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
        line(out, name, "_bucket", &[("le", bound)], *count as f64);
    }
    line(out, name, "_sum", &[], ranges.sum);
    line(out, name, "_count", &[], ranges.at_most.last().map_or(0, |(_, count)| *count) as f64);
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &[(&str, String)], value: f64) {
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(out, "{name}{suffix}{labels} {value}");
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use server::Labelled;

    use super::*;

    #[test]
    fn every_kind_of_family_has_its_lines() {
        let family = |name, kind, values| Family { name, help: "It \\ is\nso.", kind, values };
        let labelled =
            Labelled { labels: vec![("a", "x\"\\\n".into()), ("b", "y".into())], help: "", value: 0.5 };
        let ranges = Ranges { at_most: vec![(0.001, 1), (f64::INFINITY, 3)], sum: 1.25 };
        let text = text(&[
            family("one", Kind::Gauge, Values::One(12_345_678_901.0)),
            family("some", Kind::Counter, Values::Labelled(vec![labelled])),
            family("many", Kind::Histogram, Values::Ranges(ranges)),
        ]);
        assert_eq!(
            text,
            "# HELP one It \\\\ is\\nso.\n# TYPE one gauge\none 12345678901\n\
             # HELP some It \\\\ is\\nso.\n# TYPE some counter\nsome{a=\"x\\\"\\\\\\n\",b=\"y\"} 0.5\n\
             # HELP many It \\\\ is\\nso.\n# TYPE many histogram\nmany_bucket{le=\"0.001\"} 1\n\
             many_bucket{le=\"+Inf\"} 3\nmany_sum 1.25\nmany_count 3\n"
        );
    }
}
