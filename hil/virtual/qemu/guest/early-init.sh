#!/bin/busybox sh
# First program of the initramfs: finds the disk and hands over to its init.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t devtmpfs dev /dev
while read -r module; do $B insmod "/lib/modules/$module"; done < /modules
n=0
until [ -b /dev/vda ] || [ $n -ge 200 ]; do
  $B sleep 0.05
  n=$((n + 1))
done
$B mount -t ext4 -o ro /dev/vda /root
$B mount --move /dev /root/dev
$B umount /proc
exec $B switch_root /root /sbin/init
