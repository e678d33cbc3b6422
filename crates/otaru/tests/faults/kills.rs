//! `kill -9` at random moments under load. After each restart every acknowledged report is there, no task
//! has moved without its event, counts equal a recount; in the end every task has ended as it should.
//!
//! `OTARU_FAULTS_KILLS` says how often, `OTARU_FAULTS_DATABASE` over which database. With
//! `OTARU_FAULTS_BREAK_DATABASE` every fifth blow falls on the database instead: the words of a command
//! that ends it at once and starts it anew.

use std::process::Command;
use std::time::Duration;

use crate::house::{House, setting};
use crate::rng::Rng;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_however_often_the_platform_is_killed() {
    let kills = setting("OTARU_FAULTS_KILLS").map_or(6, |text| text.parse().unwrap());
    let mut rng = Rng::from_environment();
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), &folder.path().join("log"), &mut rng).await;
    for round in 1..=kills {
        tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
        match setting("OTARU_FAULTS_BREAK_DATABASE").filter(|_| round % 5 == 0) {
            Some(command) => break_database(&command),
            None => house.kill_and_restart(),
        }
        house.check().await;
    }
    house.finish().await;
}

fn break_database(command: &str) {
    let mut words = command.split_whitespace();
    let done = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
}
