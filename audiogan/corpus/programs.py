"""The pitched General MIDI programs: names, and the keys that the real instruments have.

Left out is what has no pitch of its own or more than one: tubular bells, timpani, the orchestra hit, the lead in
fifths, the bagpipe with its drones, and everything from program 112 on. Programs without a real instrument get the keys
in which they are played.
"""

from typing import NamedTuple


class Instrument(NamedTuple):
    """A General MIDI program: its name and the lowest and highest key of the real instrument."""

    name: str
    lowest: int
    highest: int


ACOUSTIC: dict[int, Instrument] = {
    0: Instrument("piano", 21, 108),
    6: Instrument("harpsichord", 29, 89),
    11: Instrument("vibraphone", 53, 89),
    12: Instrument("marimba", 45, 96),
    19: Instrument("church_organ", 36, 96),
    24: Instrument("nylon_guitar", 40, 83),
    25: Instrument("steel_guitar", 40, 86),
    26: Instrument("jazz_guitar", 40, 86),
    32: Instrument("double_bass", 28, 67),
    40: Instrument("violin", 55, 100),
    41: Instrument("viola", 48, 91),
    42: Instrument("cello", 36, 81),
    46: Instrument("harp", 24, 103),
    48: Instrument("string_ensemble", 28, 96),
    56: Instrument("trumpet", 54, 86),
    57: Instrument("trombone", 40, 77),
    58: Instrument("tuba", 26, 65),
    60: Instrument("horn", 34, 77),
    65: Instrument("alto_saxophone", 49, 81),
    68: Instrument("oboe", 58, 91),
    70: Instrument("bassoon", 34, 75),
    71: Instrument("clarinet", 50, 94),
    73: Instrument("flute", 60, 96),
}
"""One of each kind of acoustic instrument, the subset that GANSynth is compared on."""

PITCHED: dict[int, Instrument] = dict(
    sorted(
        {
            **ACOUSTIC,
            1: Instrument("bright_piano", 21, 108),
            2: Instrument("electric_grand", 21, 108),
            3: Instrument("honky_tonk", 21, 108),
            4: Instrument("electric_piano", 28, 103),
            5: Instrument("fm_piano", 28, 103),
            7: Instrument("clavinet", 29, 89),
            8: Instrument("celesta", 60, 108),
            9: Instrument("glockenspiel", 72, 108),
            10: Instrument("music_box", 60, 96),
            13: Instrument("xylophone", 65, 108),
            15: Instrument("dulcimer", 48, 84),
            16: Instrument("drawbar_organ", 36, 96),
            17: Instrument("percussive_organ", 36, 96),
            18: Instrument("rock_organ", 36, 96),
            20: Instrument("reed_organ", 36, 96),
            21: Instrument("accordion", 41, 89),
            22: Instrument("harmonica", 48, 84),
            23: Instrument("bandoneon", 41, 89),
            27: Instrument("clean_guitar", 40, 86),
            28: Instrument("muted_guitar", 40, 86),
            29: Instrument("overdriven_guitar", 40, 86),
            30: Instrument("distorted_guitar", 40, 86),
            31: Instrument("guitar_harmonics", 40, 86),
            33: Instrument("finger_bass", 28, 67),
            34: Instrument("pick_bass", 28, 67),
            35: Instrument("fretless_bass", 28, 67),
            36: Instrument("slap_bass", 28, 67),
            37: Instrument("pop_bass", 28, 67),
            38: Instrument("synth_bass", 24, 67),
            39: Instrument("rubber_bass", 24, 67),
            43: Instrument("contrabass", 28, 67),
            44: Instrument("tremolo_strings", 28, 96),
            45: Instrument("pizzicato_strings", 28, 96),
            49: Instrument("slow_strings", 28, 96),
            50: Instrument("synth_strings", 36, 96),
            51: Instrument("soft_synth_strings", 36, 96),
            52: Instrument("choir", 48, 79),
            53: Instrument("voice", 48, 79),
            54: Instrument("synth_voice", 48, 84),
            59: Instrument("muted_trumpet", 54, 86),
            61: Instrument("brass_section", 36, 86),
            62: Instrument("synth_brass", 36, 96),
            63: Instrument("soft_synth_brass", 36, 96),
            64: Instrument("soprano_saxophone", 56, 88),
            66: Instrument("tenor_saxophone", 44, 76),
            67: Instrument("baritone_saxophone", 36, 68),
            69: Instrument("english_horn", 52, 81),
            72: Instrument("piccolo", 74, 108),
            74: Instrument("recorder", 60, 96),
            75: Instrument("pan_flute", 60, 96),
            76: Instrument("bottle", 60, 96),
            77: Instrument("shakuhachi", 55, 84),
            78: Instrument("whistle", 60, 96),
            79: Instrument("ocarina", 60, 84),
            80: Instrument("square_lead", 36, 96),
            81: Instrument("saw_lead", 36, 96),
            82: Instrument("calliope_lead", 36, 96),
            83: Instrument("chiff_lead", 36, 96),
            84: Instrument("charang_lead", 36, 96),
            85: Instrument("voice_lead", 36, 96),
            87: Instrument("bass_lead", 28, 84),
            88: Instrument("new_age_pad", 36, 96),
            89: Instrument("warm_pad", 36, 96),
            90: Instrument("polysynth", 36, 96),
            91: Instrument("choir_pad", 36, 96),
            92: Instrument("bowed_pad", 36, 96),
            93: Instrument("metallic_pad", 36, 96),
            94: Instrument("halo_pad", 36, 96),
            95: Instrument("sweep_pad", 36, 96),
            104: Instrument("sitar", 48, 77),
            105: Instrument("banjo", 48, 84),
            106: Instrument("shamisen", 48, 84),
            107: Instrument("koto", 55, 84),
            108: Instrument("kalimba", 48, 79),
            110: Instrument("fiddle", 55, 96),
            111: Instrument("shanai", 60, 84),
        }.items()
    )
)
"""All that can be learnt as notes of one pitch, with the acoustic ones."""
