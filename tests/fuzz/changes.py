"""Small changes to sound inputs: what a disk, an editor, another program or a stranger does to a file."""

from __future__ import annotations

import random

WORDS = (
    *(b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b" ", b",", b":", b"=", b"-", b"#", b"&a", b"*a"),
    *(b"{", b"}", b"[", b"]", b'"', b"'", b"<<: ", b"!!python/object:os.system", b"!!binary", b"../../etc/passwd"),
    *(b"nan", b".inf", b"-1", b"1e309", b"1" * 400, b"null", b"true", b"no", b"2024-13-45", b"1:30", b"0x1F"),
    *("é".encode(), "\u2028".encode(), "\ud800".encode("utf-8", "surrogatepass"), b"\x1b[31m", b"[" * 200),
)


def changed(seed: bytes, chance: random.Random) -> bytes:
    """``seed`` after one to six changes."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((0, 1, 2, 8, 64)))
        kind = chance.randrange(6)
        if kind == 0:
            del data[at:end]
        elif kind == 1:
            data[at:end] = chance.choice(WORDS)
        elif kind == 2:
            data[at:at] = data[at:end] * chance.choice((1, 2, 9))
        elif kind == 3 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 4:
            del data[at:]
        else:
            other = chance.randrange(len(data) + 1)
            data[at:end] = data[other : other + (end - at)]
    return bytes(data)
