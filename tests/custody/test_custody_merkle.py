"""The Merkle tree, against the published roots of RFC 6962's reference tree."""

import hashlib

import pytest

from ks100.custody import merkle

# The entries and roots that Certificate Transparency's reference implementation is tested with
# (certificate-transparency, merkletree/merkle_tree_test.cc); RFC 9162 keeps the same tree.
ENTRIES = [bytes.fromhex(e) for e in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "60616263" * 4)]
ENTRIES[7] = bytes(range(0x60, 0x70))
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference_tree(size):
    assert merkle.root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree_hashes_nothing():
    assert merkle.root_of([]) == hashlib.sha256(b"").digest()
