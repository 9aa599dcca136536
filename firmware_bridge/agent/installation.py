"""The shell script that makes a board of a Linux module: user, environment, unit, SSH subsystem.

Owns what is put where on the board. Refuses to know how the script gets there; that is the caller's.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib import resources

from firmware_bridge.errors import InputError

__all__ = ["Installation", "install_script"]

_UNIT = "ks100-agent.service"
_EXECSTART = "ExecStart="
_SUBSYSTEM = "/opt/ks100/bin/python -I -m firmware_bridge.agent attach --socket /run/ks100/agent.sock"

_SCRIPT = """\
#!/bin/sh
# Makes this machine a KS-100 board. May be run again; the slots and the trust store in /var/lib/ks100 stay.
set -eu
test "$(id -u)" = 0 || {{ echo "needs root: log in as root, or with sudo" >&2; exit 3; }}
id ks100 >/dev/null 2>&1 || useradd --system --create-home --home-dir /home/ks100 --shell /bin/sh ks100
test -x /opt/ks100/bin/python || {python} -m venv /opt/ks100
/opt/ks100/bin/pip install --quiet --disable-pip-version-check --upgrade {wheel}
cat > /etc/systemd/system/{unit_name} <<'KS100-UNIT'
{unit}KS100-UNIT
mkdir -p /etc/ssh/sshd_config.d
printf 'Subsystem ks100 %s\\n' {subsystem} > /etc/ssh/sshd_config.d/ks100.conf.new
mv /etc/ssh/sshd_config.d/ks100.conf.new /etc/ssh/sshd_config.d/ks100.conf
sshd=$(command -v sshd || echo /usr/sbin/sshd)
if ! "$sshd" -t; then
    rm /etc/ssh/sshd_config.d/ks100.conf
    echo "sshd refuses the subsystem ks100; it was taken out again" >&2
    exit 3
fi
{getty}systemctl daemon-reload
systemctl enable --quiet {unit_name}
systemctl restart {unit_name}
systemctl reload ssh 2>/dev/null || systemctl reload sshd
systemctl is-active {unit_name}
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be installed.

    Attributes:
        wheel: path of the wheel on the board.
        serial: terminal of the serial line, e.g. ``/dev/ttyS1``, or ``""`` for none.
        delegate: library of the NPU's delegate on the board, or ``""``.
        python: the board's interpreter, for its virtual environment.
    """

    wheel: str
    serial: str = "/dev/ttyS1"
    delegate: str = ""
    python: str = "python3"

    def check(self) -> None:
        """Refuse paths that a unit file would read as something else.

        Raises:
            InputError: one is not a plain absolute path.
        """
        for name, path in (("serial", self.serial), ("delegate", self.delegate), ("wheel", self.wheel)):
            plain = path.startswith("/") and not set(path) & set(" \t\n\"'\\$%;")
            if path and not plain:
                raise InputError(f"--{name} must be a plain absolute path on the board, not {path!r}")


def install_script(installation: Installation) -> str:
    """Return the script; it needs root, and ends with exit code 0 only when the agent is up.

    Raises:
        InputError: a path is not a plain one.
    """
    installation.check()
    getty = ""
    if installation.serial:
        terminal = installation.serial.rpartition("/")[2]
        getty = f"systemctl mask --now {shlex.quote(f'serial-getty@{terminal}.service')}\n"
    return _SCRIPT.format(
        python=shlex.quote(installation.python),
        wheel=shlex.quote(f"{installation.wheel}[board]"),
        unit_name=_UNIT,
        unit=_unit(installation),
        subsystem=shlex.quote(_SUBSYSTEM),
        getty=getty,
    )


def _unit(installation: Installation) -> str:
    """Return the unit file with the board's own options."""
    text = resources.files("firmware_bridge.agent").joinpath(_UNIT).read_text()
    options = f" --serial {installation.serial}" if installation.serial else ""
    options += f" --delegate {installation.delegate}" if installation.delegate else ""
    lines = [
        line.partition(" --serial ")[0] + options if line.startswith(_EXECSTART) else line for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"
