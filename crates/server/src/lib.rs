//! The use cases: a device reported, a device asked, an operator ordered, time passed.
