//! What the crate `device` does on a small device.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, anyhow, ensure};
use sim::{Geometry, Plan, grid, partitions};

use super::Bench;
use crate::stats::Rounds;

/// Two layouts of an ESP32's flash: with the boot log, and for Espressif's bootloader.
const LAYOUTS: [(&str, &str); 2] = [
    (
        "boot log",
        "bootlog, data, 0x41, , 0x2000\njournal, data, 0x40, , 0x2000\nota_0, app, ota_0, , 1M\nota_1, app, ota_1, , 1M\n",
    ),
    (
        "otadata",
        "otadata, data, ota, , 0x2000\njournal, data, 0x40, , 0x2000\nota_0, app, ota_0, , 1M\nota_1, app, ota_1, , 1M\n",
    ),
];

impl Bench {
    pub(crate) fn device(&self) -> anyhow::Result<String> {
        let rounds = self.scale.report_rounds;
        let mut text = String::from(
            "\n## A device\n\n\
             KB a second of a download of 1 MiB in blocks over MQTT, for a device with so many receive buffers, each of a\n\
             block and 512 bytes. The updater takes as many of them as the link makes use of. In virtual time: only the link\n\
             costs time. A test fails when these tables are out of date.\n",
        );
        text += &grid::tables().map_err(|error| anyhow!(error))?;
        text += &format!(
            "\n### Power cuts\n\nCuts a second, on all cores: each followed by the rest of a life of five updates and one more. Sectors of 4 KiB,\nunits of 4 bytes. Medians of {rounds} rounds with least and most.\n\n\
             | layout with | cuts | a second |\n| --- | --- | --- |\n"
        );
        for (name, table) in LAYOUTS {
            let mut speed = Rounds::default();
            let mut points = 0;
            for round in 1..=rounds {
                eprintln!("device: power cuts, {name}, round {round} of {rounds}");
                let scheme = partitions::parse(table).map_err(|error| anyhow!("{error}"))?;
                let geometry = Geometry { unit: 4, sector: 4096 };
                let proof = Plan::new(scheme, geometry).prove(geometry, &|_, _| {})?;
                points = proof.points;
                speed.add(points as f64 / proof.took.as_secs_f64());
            }
            text += &format!("| {name} | {points} | {speed} |\n");
        }
        text += "\n### Size\n\nWhat `tools/embedded.sh` links and weighs, without network: updater, messages, digests, slots and one HMAC.\n\n";
        let sizes = output("tools/embedded.sh", &[], &[])?;
        text.extend(
            sizes.lines().filter(|line| line.contains(" of code ")).map(|line| format!("- {line}\n")),
        );
        let mut seconds = Rounds::default();
        for round in 1..=rounds {
            eprintln!("device: QEMU, round {round} of {rounds}");
            let told =
                output("tests/qemu/updates.sh", &["--upgrade-only"], &[("OTARU_BIN", self.otaru.as_path())])?;
            let took = told.lines().find_map(|line| line.strip_prefix("-- 1 MiB in ")?.split_once(" s"));
            seconds.add(took.context("the upgrade did not say how long it took")?.0.parse()?);
        }
        text += &format!(
            "\n### On QEMU\n\n`firmware/qemu-riscv32`, from the order of an upgrade of 1 MiB to the report of its version, its restart included:\n{seconds} s, median of {rounds} rounds with least and most.\n"
        );
        Ok(text)
    }
}

/// What a script of this project printed.
fn output(script: &str, args: &[&str], variables: &[(&str, &Path)]) -> anyhow::Result<String> {
    let mut command = Command::new(script);
    let output = command
        .args(args)
        .envs(variables.iter().copied())
        .output()
        .with_context(|| format!("cannot run {script} here; the root of the checkout is the place"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{script}: {told}{}", String::from_utf8_lossy(&output.stderr));
    Ok(told)
}
