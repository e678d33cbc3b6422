//! Pure rules: who is offered what and when, and what a report means.
