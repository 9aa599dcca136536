"""The order in which the guest's first modules are loaded."""

from hil.virtual.qemu.initramfs import in_load_order

_DEPENDENCIES = """\
fs/ext4.ko: fs/jbd2.ko lib/crc16.ko
fs/jbd2.ko:
lib/crc16.ko:
virtio/virtio_net.ko: net/failover.ko virtio/virtio_ring.ko virtio/virtio.ko
net/failover.ko:
virtio/virtio_ring.ko: virtio/virtio.ko
virtio/virtio.ko:
"""


def test_a_module_comes_after_all_that_it_needs_and_once():
    order = in_load_order(_DEPENDENCIES, ["ext4", "virtio-net"])
    assert sorted(order) == sorted(set(order))
    for line in _DEPENDENCIES.splitlines():
        module, _, needs = line.partition(":")
        assert all(order.index(need) < order.index(module) for need in needs.split())


def test_what_nobody_asked_for_stays_out():
    assert in_load_order(_DEPENDENCIES, ["ext4"]) == ["lib/crc16.ko", "fs/jbd2.ko", "fs/ext4.ko"]
