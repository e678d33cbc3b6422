//! What is remembered: SQL (SQLite or PostgreSQL) and blobs.
