//! The devices' door: sessions over MQTT and the plain HTTP file door; no database.
