"""Board profiles, as data: one TOML file a board, read by `firmware_bridge.device.profile`."""
