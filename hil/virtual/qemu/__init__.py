"""The QEMU board: a KS-100 as a real aarch64 Linux with its own kernel, disk, SSH server and INA226 drivers."""
