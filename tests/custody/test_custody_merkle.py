"""The Merkle tree, against the published roots of RFC 6962's reference tree, and by trying every proof."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
MANY = [merkle.leaf_hash(b"%d" % number) for number in range(33)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference_tree(size):
    assert merkle.root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree_hashes_nothing():
    assert merkle.root_of([]) == hashlib.sha256(b"").digest()


def test_every_inclusion_proof_verifies_and_no_other_place_does():
    for size in range(1, len(MANY) + 1):
        root = merkle.root_of(MANY[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(MANY[:size], index)
            assert merkle.verify_inclusion(MANY[index], index, size, proof, root)
            for other in {index - 1, index + 1, size, -1} - {index}:
                assert not merkle.verify_inclusion(MANY[index], other, size, proof, root)
            assert not merkle.verify_inclusion(MANY[index], index, size, (*proof, root), root)


def test_every_consistency_proof_verifies_and_no_altered_one_does():
    for size in range(1, len(MANY) + 1):
        root = merkle.root_of(MANY[:size])
        for old in range(1, size + 1):
            old_root, proof = merkle.root_of(MANY[:old]), merkle.consistency_proof(MANY[:size], old)
            assert merkle.verify_consistency(old, size, old_root, root, proof)
            assert not merkle.verify_consistency(old, size, bytes(32), root, proof)
            assert not merkle.verify_consistency(old, size, old_root, bytes(32), proof)
            assert not merkle.verify_consistency(old, size, old_root, root, (*proof, bytes(32)))
            if proof:
                assert not merkle.verify_consistency(old, size, old_root, root, proof[:-1])


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=8), st.integers(0, 40), st.integers(0, 40))
def test_proofs_from_anywhere_never_crash_and_never_pass(proof, first, second):
    root = merkle.root_of(MANY)
    assert not merkle.verify_inclusion(bytes(32), first, second, proof, root)
    assert not merkle.verify_consistency(first, second, bytes(32), root, proof)
