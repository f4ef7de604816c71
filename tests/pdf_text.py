"""The text of a PDF as typst writes it: enough of the format to read our own reports back."""

from __future__ import annotations

import re
import zlib

OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\s(.*?)\sendobj", re.S)
STREAM = re.compile(rb"^(<<.*?>>)\s*stream\r?\n(.*)\nendstream$", re.S)
FONT = re.compile(rb"/(f\d+) (\d+) 0 R")
RANGE = re.compile(rb"<([0-9A-Fa-f]{4})> ?<([0-9A-Fa-f]{4})> ?<([0-9A-Fa-f]+)>")
CHARACTER = re.compile(rb"<([0-9A-Fa-f]{4})> ?<([0-9A-Fa-f]+)>")
# a mark, which is passed over; a font being chosen, a run's begin and end, where a string begins
TOKEN = re.compile(rb"<<.*?>> ?BDC|/(f\d+) [\d.]+ Tf|\b(BT)\b|\b(ET)\b|(\()|(<)", re.S)
# where a word may break; it has no width
BREAK = "\u200b"


def pages(pdf: bytes) -> list[str]:
    """The text of each page, its runs in the order written, a line each."""
    objects = {int(n): body for n, body in OBJECT.findall(pdf)}
    read = {n: body for n, raw in objects.items() if (body := _stream(raw)) is not None}
    out = []
    for page in _pages_in_order(objects):
        resources = objects[_reference(page, b"Resources")]
        fonts = {
            name: _characters(read[_reference(objects[int(at)], b"ToUnicode")])
            for name, at in FONT.findall(resources)
        }
        out.append(_text(read[_reference(page, b"Contents")], fonts))
    return out


def _pages_in_order(objects: dict[int, bytes]) -> list[bytes]:
    root = next(b for b in objects.values() if b"/Type/Pages" in b)
    kids = re.search(rb"/Kids\[(.*?)\]", root)
    assert kids
    return [objects[int(n)] for n in re.findall(rb"(\d+) 0 R", kids[1])]


def _reference(body: bytes, key: bytes) -> int:
    found = re.search(rb"/" + key + rb" (\d+) 0 R", body)
    assert found, key
    return int(found[1])


def _stream(body: bytes) -> bytes | None:
    found = STREAM.match(body)
    if not found:
        return None
    return zlib.decompress(found[2]) if b"/FlateDecode" in found[1] else found[2]


def _characters(cmap: bytes) -> dict[int, str]:
    out: dict[int, str] = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", cmap, re.S):
        for glyph, text in CHARACTER.findall(block):
            out[int(glyph, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", cmap, re.S):
        for first, last, text in RANGE.findall(block):
            start = int(text, 16)
            for at in range(int(first, 16), int(last, 16) + 1):
                out[at] = chr(start + at - int(first, 16))
    return out


ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def _literal(content: bytes, at: int) -> tuple[bytes, int]:
    """The string whose parenthesis has just opened, and where it ends; pairs of parentheses may
    stand inside it."""
    out, depth = b"", 1
    while True:
        byte = content[at : at + 1]
        at += 1
        if byte == b"\\":
            octal = re.compile(rb"[0-7]{1,3}").match(content, at)
            token = octal[0] if octal else content[at : at + 1]
            out += bytes([int(token, 8)]) if octal else ESCAPES.get(token, token)
            at += len(token)
            continue
        depth += (byte == b"(") - (byte == b")")
        if not depth:
            return out, at
        out += byte


def _text(content: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    runs, run, at, inside = [], "", 0, False
    font: dict[int, str] = {}
    while found := TOKEN.search(content, at):
        at = found.end()
        name, begin, end, literal, hexed = found.groups()
        if name:
            font = fonts[name]
        elif begin or end:
            runs += [run.replace(BREAK, "")] if end else []
            run, inside = "", bool(begin)
        elif literal or hexed:
            if literal:
                glyphs, at = _literal(content, at)
            else:
                until = content.index(b">", at)
                glyphs, at = bytes.fromhex(content[at:until].decode()), until
            if inside:
                run += "".join(
                    font.get(int.from_bytes(glyphs[i : i + 2], "big"), "?")
                    for i in range(0, len(glyphs), 2)
                )
    return "\n".join(runs)
