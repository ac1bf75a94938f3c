"""P2P keys in the spelling that a URL host can carry."""

from __future__ import annotations

import hashlib

import pytest

from peersky.core.keys import MAX_LABEL, hyper_host, ipfs_host, ipns_host

# The pair that the CID documentation uses.
V0 = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"
V1 = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
# The pair of the libp2p peer-id specification: the same RSA peer as base58 multihash and as CID.
PEER_58 = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
PEER_CID = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"
ED25519 = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
Z32 = "ybndrfg8ejkmcpqxot1uwisza345h769"


def z32_reference(key: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in key).ljust(260, "0")
    return "".join(Z32[int(bits[at : at + 5], 2)] for at in range(0, 260, 5))


@pytest.mark.parametrize("seed", [b"a", b"b", b"c", b"d"])
def test_a_hex_hyper_key_becomes_z_base_32(seed: bytes) -> None:
    key = hashlib.sha256(seed).digest()
    assert hyper_host(key.hex()) == hyper_host(key.hex().upper()) == z32_reference(key)


def test_a_z_base_32_key_stays() -> None:
    key = z32_reference(b"\xff" * 32)
    assert hyper_host(key) == hyper_host(key.upper()) == key


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "l" * 52, "y" * 51, "blog.example"])
def test_no_hyper_key(text: str) -> None:
    assert hyper_host(text) is None


def test_cid_version_0_becomes_version_1() -> None:
    assert ipfs_host(V0) == V1


def test_every_base_of_a_cid_gives_the_same_host() -> None:
    base36 = ipns_host(PEER_CID)
    assert base36 is not None
    assert ipfs_host(V1) == ipfs_host(V1.upper()) == V1
    assert ipfs_host("f01701220" + "ab" * 32) == ipfs_host("F01701220" + "AB" * 32)
    assert ipfs_host(base36) == PEER_CID


def test_a_cid_too_long_for_base32_is_written_in_base36_or_not_at_all() -> None:
    blake2b_40_bytes = "f0155" + "a8e402" + "28" + "11" * 40
    sha512 = "f01551340" + "22" * 64
    assert ipfs_host(blake2b_40_bytes) is None
    assert ipfs_host(sha512) is None
    sha256 = ipfs_host("f01551220" + "33" * 32)
    assert sha256 is not None
    assert len(sha256) <= MAX_LABEL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Qm",
        "Qm" + "0" * 44,
        V0[:-1],
        V0 + "x",
        V1[:-3],
        "bafy!",
        "beautiful",
        "b" * 400,
        "f0",
        "fzz",
        "z" + V0,
        "k51",
    ],
)
def test_no_cid(text: str) -> None:
    assert ipfs_host(text) is None


def test_peer_ids_become_libp2p_key_in_base36() -> None:
    assert ipns_host(PEER_58) == ipns_host(PEER_CID)
    name = ipns_host(ED25519)
    assert name is not None
    assert name.startswith("k51qzi5uqu5d")
    assert len(name) == 62
    assert ipns_host(name) == ipns_host(name.upper()) == name


@pytest.mark.parametrize("text", ["", "docs.ipfs.tech", "12D3", ED25519[:-1], V1.replace("bafy", "bafk", 1), "1" * 52])
def test_no_ipns_key(text: str) -> None:
    assert ipns_host(text) is None
