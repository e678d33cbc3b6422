//! docs/metrics.md.

use std::fmt::Write as _;

use server::{Family, Labelled, Values};

use super::{process, text, whole};

const HEAD: &str = "\
# Metrics and health

<!-- Made by `cargo run -p otaru-api --example metrics` from the definitions; do not edit. -->

The operators' listener (`127.0.0.1:8080` unless set) answers three questions without the API's JSON:

| | |
|---|---|
| `/livez` | 200 as long as the process turns. Restart it when this fails. |
| `/readyz` | 200 if the database answers within 2 s, and a mark that goes the way of the devices' reports, through their queue and a transaction, is through within 5 s, and nothing has failed to be written in the last 2 s, as on a full disk; else 503 with the reason in words, or as a problem of the API to who accepts JSON. 503 also while the platform starts or stops. |
| `/metrics` | the numbers below, in the text format of Prometheus |

`/livez` and `/readyz` need no token and no particular `Host`: they tell nothing else, and a prober has neither.

Who may read `/metrics` is the setting [`metrics-readers`](settings.md#metrics-readers). Unless set, programs on the same
machine may, and others with the header `Authorization: Bearer` and the administrator's token. A request that a proxy
passed on (it has a header `Forwarded`, `X-Forwarded-For`, `X-Real-Ip` or `Via`) is not taken for one of the same machine;
before a proxy that adds none of them, set `token`.
The numbers name no product, device or version of a firmware, but they do tell how many devices there are. To let a
Prometheus on another machine read them without giving it the administrator's token, let it reach the listener
over a network you trust and set `anyone`; its name must be allowed with `allow-host`, or it uses the address.

```yaml
scrape_configs:
  - job_name: otaru
    static_configs:
      - targets: [\"127.0.0.1:8080\"]
```

`/api/v1/status/past` has the numbers of the last hour, every 15 seconds since the start of the platform: enough for a
look at them without a Prometheus, as the [console](console.md) takes.

[alerts.yml](alerts.yml) holds alert rules to begin with. Counters begin at 0 with the process. A device that is
turned away is also told of in the log, with the reason in words.

";

/// The page, made from the definitions.
pub fn page() -> String {
    let mut text = HEAD.to_string();
    let families = whole(server::all_metrics(), process::all().into());
    text.push_str("| name | type | labels | |\n|---|---|---|---|\n");
    for family in &families {
        let Family { name, help, kind, .. } = family;
        let _ = writeln!(text, "| `{name}` | {} | {} | {help} |", text::kind(*kind), labels(family));
    }
    for family in &families {
        text.push_str(&meanings(family));
    }
    text
}

fn labelled(family: &Family) -> &[Labelled] {
    if let Values::Labelled(values) = &family.values { values } else { &[] }
}

fn labels(family: &Family) -> String {
    let names =
        labelled(family).first().map(|labelled| labelled.labels.iter().map(|(name, _)| format!("`{name}`")));
    names.map(|names| names.collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

/// What the values of a family's label mean, if they do not say it themselves.
fn meanings(family: &Family) -> String {
    let values = labelled(family);
    let mut text = String::new();
    for Labelled { labels, help, .. } in values.iter().filter(|labelled| !labelled.help.is_empty()) {
        if text.is_empty() {
            let _ = writeln!(text, "\n## `{}`\n\n| `{}` | |\n|---|---|", family.name, labels[0].0);
        }
        let _ = writeln!(text, "| `{}` | {help} |", labels[0].1);
    }
    text
}
