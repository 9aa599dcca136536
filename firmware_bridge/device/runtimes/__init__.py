"""What each runtime can run, as data: one TOML file a runtime, read by `firmware_bridge.device.runtime.op_table`."""
