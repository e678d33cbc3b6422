//! MQTT packets, borrow-only: versions 3.1 and 3.1.1.
