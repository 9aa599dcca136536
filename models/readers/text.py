"""Reading text files of annotation tools: byte order marks, UTF-16, Chinese and Western code pages.

Few annotation tools on Windows write Python's default, UTF-8 without a byte order mark.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from models.errors import DataError

__all__ = ["MAX_TEXT_BYTES", "alike", "decode_text", "flag", "number", "posix", "read_table", "read_text"]

MAX_TEXT_BYTES = 2_000_000_000
"""Size limit; COCO's largest annotation file has 0.5 GB."""

# The mark of UTF-32 begins with that of UTF-16, so it is tested first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# Only code pages: Python's registry also has codecs such as punycode and idna.
_CODE_PAGE = re.compile(r"^(gb|big5|euc|shift|cp|windows|iso|latin|koi8|utf|us-ascii|ascii)", re.IGNORECASE)
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_DELIMITERS = ",;\t|"
_NO = frozenset({"", "0", "0.0", "false", "no", "none", "null", "n", "f", "unspecified"})


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return a file's text, whatever its encoding.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``max_bytes``.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    if path.stat().st_size > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes")
    return decode_text(path.read_bytes())


def decode_text(data: bytes) -> str:
    """Decode ``data`` by its byte order mark, as UTF-8, by its XML declaration, or in the likelier code page."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").lstrip("\ufeff")
    if data[:1] and data[1:2] == b"\0" and data[3:4] in {b"", b"\0"}:
        return data.decode("utf-16-le", errors="replace")
    if data[:1] == b"\0" and data[1:2] not in {b"", b"\0"}:
        return data.decode("utf-16-be", errors="replace")
    for encoding in ("utf-8", *_declared(data)):
        try:
            return data.decode(encoding)
        except (UnicodeError, LookupError):
            continue
    return data.decode("gb18030" if _looks_chinese(data) else "cp1252", errors="replace")


def _declared(data: bytes) -> tuple[str, ...]:
    found = _DECLARED.match(data[:300])
    name = found[1].decode("ascii") if found is not None else ""
    if not _CODE_PAGE.match(name):
        return ()
    # GB18030 contains GB2312 and GBK; files declared as GB2312 often have characters of the others.
    return ("gb18030",) if name.lower().startswith("gb") else (name,)


def _looks_chinese(data: bytes) -> bool:
    """Whether high bytes come in pairs as in GB2312; in Western text they are single."""
    runs = [len(run) for run in _HIGH_BYTES.findall(data)]
    paired = sum(run for run in runs if run % 2 == 0)
    if paired * 2 <= sum(runs):
        return False
    try:
        data.decode("gb18030")
    except UnicodeError:
        return False
    return True


def read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Read a CSV with a header, delimited by commas, semicolons, tabs or bars; column names are stripped, lower case.

    Args:
        path: the file.
        columns: the required ones.

    Raises:
        DataError: it cannot be read, has no row, or a column is missing.
    """
    wanted = tuple(columns)
    try:
        text = read_text(path)
        # A first line of Excel's, "sep=;".
        lines = [line for line in text.splitlines() if line.strip() and not line.lower().startswith("sep=")]
        head = lines[0] if lines else ""
        delimiter = max(_DELIMITERS, key=head.count)
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if len(rows) < 2 or not set(wanted) <= set(names):
        needed = " and ".join(repr(name) for name in wanted)
        found = f"; its first line has {', '.join(names)}" if names else ""
        raise DataError(f"{path}: needs the columns {needed} and at least one row{found}")
    return [dict(zip(names, (cell.strip() for cell in row), strict=False)) for row in rows[1:]]


def number(text: object) -> float:
    """Return a finite number; a decimal comma is accepted.

    Raises:
        ValueError: it is not one.
    """
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise ValueError(f"{text!r} is not a number")
    try:
        value = float(text.strip().replace(",", ".") if isinstance(text, str) else text)
    except OverflowError as error:
        raise ValueError(f"{str(text)[:20]} is not finite") from error
    if value != value or value in {float("inf"), float("-inf")}:
        raise ValueError(f"{text!r} is not finite")
    return value


def flag(value: object) -> bool:
    """Return whether a flag is set, given as number, boolean or text (``"0"`` and ``"false"`` are not)."""
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def alike(name: str) -> str:
    """Return a form of a name that ignores case and Unicode normalization (macOS decomposes accents)."""
    return unicodedata.normalize("NFC", name).casefold()


def posix(name: str) -> str:
    """Return a file's name with slashes instead of backslashes and without a leading ``./``."""
    name = name.strip().replace("\\", "/")
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name
