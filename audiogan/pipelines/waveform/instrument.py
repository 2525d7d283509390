"""A sampler instrument: one WAV per key and velocity, and the SFZ text that tells a player which is which.

SFZ (sfzformat.com) is read by samplers and DAWs. Keys that are not sampled are played by the nearest sample; velocities
by three layers, whose level the player sets (`amp_veltrack`). Notes that hold get a loop in their stable part with its
joint blended into the samples; notes that die away get none. Licence and provenance are comments at the top.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiogan.adversarial.game import seed_of
from audiogan.corpus import audio
from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape, safe_stem
from audiogan.corpus.notes import hz_of
from audiogan.errors import OutputError, UsageError
from audiogan.pipeline import Model, Progress
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.looping import Loop, blended, find_loop
from audiogan.pipelines.waveform.sound import Waveform, check_rate, levelled, soften
from audiogan.pipelines.waveform.timbre import Timbre, check_timbre, z_for
from audiogan.pipelines.waveform.voice import Played, Voice, check_duration, check_velocity, make_planes
from audiogan.version import __version__

VELOCITIES = (0.3, 0.6, 0.9)
RELEASE_SECONDS = 0.3
TAIL_SECONDS = 0.05  # kept after a loop, which a player never reaches
MOST_TAKES = 8
_STEPS = ("c", "cs", "d", "ds", "e", "f", "fs", "g", "gs", "a", "as", "b")


class Sample(NamedTuple):
    """One WAV of the instrument: what it plays, its name, its loop."""

    key: int
    layer: int
    take: int
    file: str
    loop: Loop | None


def write_instrument(
    model: Model,
    timbre: Timbre,
    folder: Path,
    *,
    keys: tuple[int, int] | None = None,
    step: int = 1,
    velocities: Sequence[float] = VELOCITIES,
    takes: int = 1,
    duration: float | None = None,
    sample_rate: int | None = None,
    seed: int = 0,
    name: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `NAME.sfz` and a folder `samples` with its WAVs.

    Args:
        model: Trained networks.
        timbre: Of the instrument.
        folder: An existing folder; files of the same names are replaced.
        keys: Lowest and highest MIDI key; None for the trained range.
        step: Semitones between samples.
        velocities: Of the layers, rising, in (0, 1].
        takes: Recordings of each key and layer that take turns (round robin), each with another z, 1 to 8.
        duration: Seconds of each sample; None for the model's own length.
        sample_rate: Hz, 16,000 to 48,000; None for the model's own.
        seed: Of the noise and the takes.
        name: Of the instrument; None for the timbre's.
        progress: Called with samples written and their number.

    Returns:
        JSON-able facts: files, keys, loops.

    Raises:
        UsageError: A number out of range.
        CorpusError: A timbre of another model.
        OutputError: The folder cannot be written.
    """
    config: Config = model.config
    low, high = _checked_keys(keys, config)
    layers = _checked_layers(velocities)
    if not 1 <= step <= 12 or not 1 <= takes <= MOST_TAKES:
        raise UsageError(f"step {step} and takes {takes}; expected 1 to 12 and 1 to {MOST_TAKES}")
    check_timbre(timbre, model)
    check_duration(duration)
    voice = Voice(config, check_rate(sample_rate, config.sample_rate), RELEASE_SECONDS)
    stem = safe_stem(name or timbre.name or "instrument")
    centres = list(range(low + min(step // 2, high - low), high + 1, step))
    _make(folder / "samples")
    samples: list[Sample] = []
    comment = f"made by audiogan {__version__}, model {escape(model.name)} {model.sha256[:12]}, seed {seed}"
    for key in centres:
        wanted = [(layer, take) for layer in range(len(layers)) for take in range(takes)]
        notes = [Played(_take(timbre, take, seed), float(key), layers[layer]) for layer, take in wanted]
        for (layer, take), planes in zip(wanted, make_planes(model, notes), strict=True):
            waveform = voice.note(planes, float(key), duration, seed=seed_of(seed, "noise", key, take))
            file = f"{stem}_{_key_name(key)}_v{layer + 1}" + (f"_t{take + 1}" if takes > 1 else "") + ".wav"
            loop = _record(waveform, key, voice.sample_rate, folder / "samples" / file, comment)
            samples.append(Sample(key, layer, take, file, loop))
            if progress is not None:
                progress(len(samples), len(centres) * len(wanted))
    text = sfz_text(samples, layers, (low, high), header(model, timbre, stem, seed), takes=takes)
    write_whole(folder / f"{stem}.sfz", text.encode("ascii", "replace"))
    return {
        "sfz": f"{stem}.sfz",
        "samples": [f"samples/{sample.file}" for sample in samples],
        "keys": [low, high],
        "step": step,
        "velocities": list(layers),
        "takes": takes,
        "sample_rate": voice.sample_rate,
        "n_looped": sum(sample.loop is not None for sample in samples),
        "timbre": timbre.as_json(),
    }


def _record(waveform: Waveform, key: int, sample_rate: int, path: Path, comment: str) -> Loop | None:
    """Write one sample and return its loop."""
    looped, loop = _looped(levelled(waveform), sample_rate, hz_of(key))
    audio.write(looped[None], sample_rate, path, encoding="int24", comment=comment)
    return loop


def _checked_keys(keys: tuple[int, int] | None, config: Config) -> tuple[int, int]:
    low, high = keys or (config.lowest_pitch, config.highest_pitch)
    if not config.lowest_pitch <= low <= high <= config.highest_pitch:
        raise UsageError(
            f"keys {low}-{high}; expected a range within the trained {config.lowest_pitch}-{config.highest_pitch}"
        )
    return low, high


def _checked_layers(velocities: Sequence[float]) -> tuple[float, ...]:
    layers = tuple(check_velocity(velocity) for velocity in velocities)
    rising = all(a + 0.02 <= b for a, b in pairwise(layers))
    if not 1 <= len(layers) <= 8 or layers[0] <= 0 or not rising:
        raise UsageError(f"velocities {list(velocities)}; expected 1 to 8 rising numbers above 0, up to 1")
    return layers


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{escape(folder)}: {error.strerror or error}; expected a folder that can be written to"
        ) from None


def _take(timbre: Timbre, take: int, seed: int) -> Timbre:
    """The timbre itself, then others with a little of another z."""
    if take == 0:
        return timbre
    other = z_for(len(timbre.z), seed, "take", take)
    z = (0.9 * timbre.z + np.sqrt(1 - 0.9**2) * other).astype(np.float32)
    return replace(timbre, z=z)


def _looped(waveform: Waveform, sample_rate: int, hz: float) -> tuple[Waveform, Loop | None]:
    """The sample, cut short after its loop if it has one."""
    loop = find_loop(waveform, sample_rate, hz)
    if loop is None:
        return waveform, None
    stop = min(len(waveform), loop.stop + round(TAIL_SECONDS * sample_rate))
    joined = blended(waveform, loop)
    # After the blend the sound goes on as it does at the loop's beginning.
    joined[loop.stop : stop] = joined[loop.first : loop.first + stop - loop.stop]
    faded = soften(joined[:stop], sample_rate)
    return faded, loop


def _key_name(key: int) -> str:
    return f"{_STEPS[key % 12]}{key // 12 - 1}"


# ---- SFZ


def header(model: Model, timbre: Timbre, name: str, seed: int) -> list[str]:
    """Return what the file says about itself: lines without the comment signs.

    Args:
        model: Trained networks; its card names the licences of what it learnt from.
        timbre: Of the instrument.
        name: Of the instrument.
        seed: Of the samples.
    """
    card: Mapping[str, Any] = model.card
    licences = _licences(card)
    return [
        f"{name}: an instrument made with audiogan {__version__}",
        f"Model: {model.name or 'unnamed'}, weights sha256 {model.sha256 or 'unknown'}",
        f"Timbre: {timbre.name or 'unnamed'}, seed {seed}",
        f"Licences of the sounds that the model learnt from: {', '.join(map(str, licences))}",
        "Every sample was made by the model.",
    ]


def sfz_text(
    samples: Sequence[Sample], layers: Sequence[float], keys: tuple[int, int], lines: Sequence[str], *, takes: int = 1
) -> str:
    """Return the text of an SFZ file.

    Args:
        samples: All of them.
        layers: Velocities of the layers, rising.
        keys: Lowest and highest key to play.
        lines: Of the header.
        takes: Samples of each key and layer.
    """
    centres = sorted({sample.key for sample in samples})
    zones = _zones(centres, keys)
    bounds = _bounds(layers)
    text = [f"// {_one_line(line)}" for line in lines]
    text += [
        "",
        "<control>",
        "default_path=samples/",
        "",
        "<global>",
        f"amp_veltrack=100 ampeg_attack=0.001 ampeg_release={RELEASE_SECONDS:g}",
        "",
    ]
    for sample in samples:
        low, high = zones[sample.key]
        first, last = bounds[sample.layer]
        region = f"<region> sample={sample.file} lokey={low} hikey={high} pitch_keycenter={sample.key} tune=0"
        region += f" lovel={first} hivel={last}"
        if takes > 1:
            region += f" seq_length={takes} seq_position={sample.take + 1}"
        if sample.loop is None:
            region += " loop_mode=no_loop"
        else:  # SFZ names the last sample of a loop, not the one after it
            region += f" loop_mode=loop_continuous loop_start={sample.loop.first} loop_end={sample.loop.stop - 1}"
        text.append(region)
    return "\n".join(text) + "\n"


def _one_line(text: str) -> str:
    """A comment that stays one, whatever a name holds."""
    return re.sub(r"\s+", " ", escape(text))[:300]


def _zones(centres: Sequence[int], keys: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """The keys that each sampled key plays: all from the lowest to the highest, each once."""
    edges = [keys[0], *((a + b) // 2 + 1 for a, b in pairwise(centres)), keys[1] + 1]
    return {key: (edges[place], edges[place + 1] - 1) for place, key in enumerate(centres)}


def _bounds(layers: Sequence[float]) -> list[tuple[int, int]]:
    """The MIDI velocities of each layer: 1 to 127, each once, cut half-way between layers."""
    edges = [1, *(round(127 * (a + b) / 2) + 1 for a, b in pairwise(layers)), 128]
    return [(edges[place], edges[place + 1] - 1) for place in range(len(layers))]


def _licences(card: Mapping[str, Any]) -> list[str]:
    """Licences of the sources that a model learnt from, each once, as its card names them."""
    corpus = card.get("corpus")
    sources = corpus.get("sources") if isinstance(corpus, Mapping) else None
    named = [source.get("licence") for source in sources or () if isinstance(source, Mapping)]
    return sorted({str(licence) for licence in named if licence}) or ["unknown"]
