#!/bin/busybox sh
# The board's init. /dev/vda: the system, read-only. /dev/vdb: the board's state. /dev/vdc: a tar with what this start brings.
export PATH=/run/bin:/sbin:/usr/sbin:/bin:/usr/bin
/bin/busybox mount -t tmpfs run /run
/bin/busybox mkdir /run/bin
/bin/busybox --install -s /run/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /run/sshd /run/board
mount -t devpts devpts /dev/pts
tar x -f /dev/vdc -C /run/board
chown -R 0:0 /run/board
. /run/board/settings
date -s "@$NOW_S" > /dev/null
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
mount -t ext4 /dev/vdb /data || exec poweroff -f

# Power sensors: the real INA226 driver on a bus whose chips are registers in memory, which the power model writes.
modprobe i2c-dev
modprobe i2c-stub chip_addr="$RAIL_ADDRESSES"
modprobe ina2xx
for address in $(echo "$RAIL_ADDRESSES" | tr , ' '); do
  echo "ina226 $address" > /sys/bus/i2c/devices/i2c-0/new_device
done
for chip in /sys/class/hwmon/hwmon*; do
  echo "$SHUNT_UOHM" > "$chip/shunt_resistor"
  echo 2 > "$chip/update_interval"
done

/usr/sbin/sshd -e -f /run/board/sshd_config
mkfifo /run/lifeline
sleep 100000000 > /run/lifeline &
export PYTHONPATH=/run/board/project:/usr/lib/ks100/site PYTHONDONTWRITEBYTECODE=1
while true; do
  # shellcheck disable=SC2086
  python3.11 -m hil.virtual.firmware $AGENT_OPTIONS < /run/lifeline
  sleep 0.3
done
