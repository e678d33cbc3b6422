//! The vocabulary of the device protocol: topics, JSON messages, block frames, credentials.
