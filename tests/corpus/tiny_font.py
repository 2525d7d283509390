"""A SoundFont of one looped sample that is written here, so that rendering is tested without any font."""

import struct

import numpy as np

ROOT_KEY, RATE, PERIOD = 69, 44_000, 100  # 100 samples at 44 kHz: A4


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _list(kind: bytes, *chunks: bytes) -> bytes:
    return _chunk(b"LIST", kind + b"".join(chunks))


def make_font(programs: tuple[int, ...] = (0, 73), level: float = 0.5) -> bytes:
    """Return an .sf2 file whose programs all play a tone of three partials, `level` of full scale."""
    time = np.arange(PERIOD * 40) / PERIOD
    tone = sum(np.sin(2 * np.pi * rank * time) / rank for rank in (1, 2, 3))
    samples = (level * 32767 * tone / np.abs(tone).max()).astype("<i2").tobytes() + bytes(92)
    presets, bags, generators = b"", b"", b""
    for number, program in enumerate(programs):
        presets += struct.pack("<20sHHHIII", b"tone %d" % program, program, 0, number, 0, 0, 0)
        bags += struct.pack("<HH", number, 0)
        generators += struct.pack("<HH", 41, 0)  # instrument 0
    last = len(programs)
    presets += struct.pack("<20sHHHIII", b"EOP", 0, 0, last, 0, 0, 0)
    bags += struct.pack("<HH", last, 0)
    generators += struct.pack("<HH", 0, 0)
    n_zone = 2
    header = struct.pack("<20sIIIIIBbHH", b"tone", 0, PERIOD * 40, PERIOD, PERIOD * 39, RATE, ROOT_KEY, 0, 0, 1)
    pdta = _list(
        b"pdta",
        _chunk(b"phdr", presets),
        _chunk(b"pbag", bags),
        _chunk(b"pmod", bytes(10)),
        _chunk(b"pgen", generators),
        _chunk(b"inst", struct.pack("<20sH", b"tone", 0) + struct.pack("<20sH", b"EOI", 1)),
        _chunk(b"ibag", struct.pack("<HHHH", 0, 0, n_zone, 0)),
        _chunk(b"imod", bytes(10)),
        _chunk(b"igen", struct.pack("<HHHHHH", 54, 1, 53, 0, 0, 0)),  # loop; sample 0
        _chunk(b"shdr", header + struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)),
    )
    info = _list(
        b"INFO", _chunk(b"ifil", struct.pack("<HH", 2, 1)), _chunk(b"isng", b"EMU8000\0"), _chunk(b"INAM", b"tiny")
    )
    return _chunk(b"RIFF", b"sfbk" + info + _list(b"sdta", _chunk(b"smpl", samples)) + pdta)
