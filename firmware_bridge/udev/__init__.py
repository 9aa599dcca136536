"""The udev rules for boards on serial ports, as a file; see udev/README.md."""
