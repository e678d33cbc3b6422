//! How time goes on whatever is done to the clock.

use rollout::Ms;
use store::committer::Times;

/// Makes the time of each transaction: the clock's, unless that is behind what has been told already, as it
/// is after it was set back. Then time goes on from there at half the clock's pace until the clock has caught
/// up: it never runs backwards, it does not stand still, which would hold up all that is due, and it does not
/// stay ahead for ever.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    told: Ms,
    /// The clock and the time told when the clock was first behind.
    behind: Option<(Ms, Ms)>,
}

impl Pace {
    pub(crate) fn tell(&mut self, times: Times) -> Ms {
        let Times { clock, last_event } = times;
        let least = self.told.max(last_event);
        self.behind = (clock < least)
            .then(|| self.behind.filter(|(began, _)| *began <= clock).unwrap_or((clock, least)));
        self.told = match self.behind {
            None => clock,
            Some((began, told)) => least.max(told + (clock - began) / 2),
        };
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Ms = 7 * 24 * 3_600_000;
    const START: Ms = 1_700_000_000_000;

    fn tell(pace: &mut Pace, clock: Ms) -> Ms {
        pace.tell(Times { clock, last_event: 0 })
    }

    #[test]
    fn time_is_the_clocks_and_jumps_ahead_with_it() {
        let mut pace = Pace::default();
        for clock in [START, START + 1, START + WEEK, START + WEEK + 1] {
            assert_eq!(tell(&mut pace, clock), clock);
        }
    }

    #[test]
    fn after_a_step_back_time_goes_on_and_is_caught_up_with() {
        let mut pace = Pace::default();
        tell(&mut pace, START);
        let back = START - WEEK;
        let mut last = START;
        // Steps so small that half of one is nothing.
        for passed in 0..10_000 {
            let now = tell(&mut pace, back + passed);
            assert_eq!(now, START + passed / 2);
            assert!(now >= last);
            last = now;
        }
        for clock in (back + 10_000..START + WEEK).step_by(3_600_000) {
            let now = tell(&mut pace, clock);
            assert!(now >= last && now >= clock);
            last = now;
        }
        assert_eq!(tell(&mut pace, START + WEEK), START + WEEK);
    }

    #[test]
    fn a_second_step_back_begins_anew_from_where_time_was() {
        let mut pace = Pace::default();
        tell(&mut pace, START);
        assert_eq!(tell(&mut pace, START - WEEK), START);
        assert_eq!(tell(&mut pace, START - WEEK + 1_000), START + 500);
        assert_eq!(tell(&mut pace, START - 2 * WEEK), START + 500);
        assert_eq!(tell(&mut pace, START - 2 * WEEK + 1_000), START + 1_000);
    }

    #[test]
    fn a_new_process_goes_on_from_the_log() {
        let mut pace = Pace::default();
        let times = |clock| Times { clock, last_event: START };
        assert_eq!(pace.tell(times(START - WEEK)), START);
        assert_eq!(pace.tell(times(START - WEEK + 60_000)), START + 30_000);
    }
}
