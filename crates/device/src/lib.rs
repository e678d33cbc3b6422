//! What a device does in an update: a pure updater without clock or socket.
