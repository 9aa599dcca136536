"""Files that people give by mistake, by what is odd about them; and a few good ones to stand beside them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

VECTORS = Path(__file__).parents[1] / "vectors"
PASSPHRASE = "of a test"


def make_odd_files(folder: Path) -> dict[str, Path]:
    """Return odd files and folders by name; ``missing`` names none."""
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes] = {
        "empty": b"",
        "text": b"hello, this is no such file\n",
        "latin1": "überall".encode("latin-1"),
        "garbage": np.random.default_rng(1).bytes(4096),
        "json_object": b"{}",
        "json_list": b"[]",
        "json_number": b"1e999",
        "json_deep": b"[" * 200_000,
        "json_nan": b'{"a": NaN, "format": NaN, "schema": -1}',
        "toml": b"a = 1\n[b]\nc = []\n",
        "yaml_bomb": b"a: &a [1,1,1,1,1,1,1,1,1]\n" + b"".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(8 * ['*' + chr(97 + n)])}]\n".encode() for n in range(12)
        ),
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17),
        "zip": b"PK\x03\x04" + bytes(60),
        "utf16": "targets: {}".encode("utf-16"),
        "nul": b"\0" * 300,
        "pem_rubbish": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    }  # fmt: skip
    files = {}
    for name, data in contents.items():
        files[name] = folder / f"odd-{name}"
        files[name].write_bytes(data)
    files |= {"missing": folder / "no-such-file", "folder": folder / "odd-folder", "loop": folder / "odd-loop"}
    files["folder"].mkdir(exist_ok=True)
    if not files["loop"].is_symlink():
        files["loop"].symlink_to(files["loop"])
    files["long"] = folder / ("x" * 300)
    files["below_file"] = files["text"] / "x"
    files["control"] = folder / "odd\x1b[31m\nname"
    files["huge"] = folder / "odd-huge"
    with files["huge"].open("wb") as stream:
        os.truncate(stream.fileno(), 20 << 30)
    files["zeros"] = Path("/dev/zero")
    files["pipe"] = folder / "odd-pipe"
    if not files["pipe"].exists():
        os.mkfifo(files["pipe"])
    files["package"] = folder / "model.ksm"
    files["store"] = folder / "trust.ksr"
    files["graph"] = folder / "tiny.tflite"
    shutil.copy(VECTORS / "accepted-es256.ksm", files["package"])
    shutil.copy(VECTORS / "trust.store", files["store"])
    shutil.copy(VECTORS / "graph.tflite", files["graph"])
    return files
