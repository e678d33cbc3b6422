//! The operator's door: REST under /api/v1.
