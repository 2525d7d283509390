"""The first minute: everything the shipped models can do, written into one folder with a page to see and hear it.

The model of MIDI shows clips, the model of notes, where one is shipped, shows sounds and plays a clip of the other. A
model that is asked for by name shows itself alone.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from audiogan.corpus import midi
from audiogan.corpus.score import Score
from audiogan.errors import UnsupportedError
from audiogan.pipeline import MUSIC, SOUNDS, Model, Progress, Sound
from audiogan.recipe import shipped_root
from audiogan.workflow.making import about, check_folder, check_seed, made_by, write_score, write_sound
from audiogan.workflow.model import has_default, load, track_names
from audiogan.workflow.outputs import OutputFolder, Result
from audiogan.workflow.page import Entry, add_page, add_sound

N_CLIPS = 4
N_STEPS = 5
N_NOTES = 4
BAND = ("drums", "bass", "strings")
TUNE = "samples/corpus/01_morning_walk.mid"
TUNE_BARS = 4

Part = Callable[[], list[tuple[str, Score | Sound]]]


def demo(
    *,
    model: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Write clips, a walk from one clip to another and a band around a given tune, with `index.html`.

    Where a model of notes is shipped, or asked for, there are also notes, a ladder between two timbres, and a piece
    played with generated timbres.

    Args:
        model: Shipped name or folder; None for the default models.
        seed: 0 or more.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        out: Folder for the files; None for `audiogan-demo`.
        overwrite: Replace files of the same name.
        progress: Called with the parts done and their number.
    """
    check_seed(seed)
    check_folder(out)
    music, notes = _models(model, device)
    first = music or notes
    assert first is not None, "one of the two is there"
    facts = {"command": "demo", "model": about(first), "seed": seed}
    if music and notes:
        facts["model_of_notes"] = about(notes)
    sections: dict[str, list[Entry]] = {}
    with OutputFolder(Path(out or "audiogan-demo"), facts, overwrite) as folder:
        clips = music.generate(count=N_CLIPS, seed=seed) if music else []
        parts: dict[str, tuple[Model, Part]] = {}
        if music:
            parts |= {heading: (music, make) for heading, make in _clip_parts(music, clips, seed).items()}
        if notes:
            parts |= {heading: (notes, make) for heading, make in _note_parts(notes, clips, seed).items()}
        for done, (heading, (chosen, make)) in enumerate(parts.items()):
            try:
                items = make()
            except UnsupportedError:
                continue  # a model without this verb shows the others
            sections[heading] = [_add(folder, chosen, seed, name, item) for name, item in items]
            if progress:
                progress(done + 1, len(parts))
        add_page(folder, f"audiogan demo: {first.name}", sections)
    return folder.result()


def _models(name: str | Path | None, device: str) -> tuple[Model | None, Model | None]:
    """Return the model of MIDI and the model of notes that are to be shown."""
    if name is None:
        notes = load(None, device=device, pipeline=SOUNDS) if has_default(SOUNDS) else None
        return load(None, device=device, pipeline=MUSIC), notes
    chosen = load(name, device=device, pipeline=None)
    return (None, chosen) if chosen.makes == SOUNDS else (chosen, None)


def _clip_parts(model: Model, clips: list[Score], seed: int) -> dict[str, Part]:
    return {
        "New clips": lambda: [(f"clip_{number}", clip) for number, clip in enumerate(clips, 1)],
        "From the first clip to the second": lambda: [
            (f"step_{number}", clip)
            for number, clip in enumerate(model.interpolate(clips[0], clips[1], steps=N_STEPS, seed=seed), 1)
        ],
        "A tune of ours, and a band around it": lambda: _band(model, seed),
    }


def _note_parts(model: Model, clips: list[Score], seed: int) -> dict[str, Part]:
    first, second = (model.random_timbre(seed, number) for number in (0, 1))
    return {
        "New notes": lambda: [("note", note) for note in model.generate(count=N_NOTES, seed=seed)],
        "From one timbre to another": lambda: [
            (f"timbre_{number}", note)
            for number, note in enumerate(model.interpolate(first, second, steps=N_STEPS, seed=seed), 1)
        ],
        "A clip, played with generated timbres": lambda: [
            ("played", model.render(clips[0] if clips else _tune(), [first, second], seed=seed))
        ],
    }


def _tune() -> Score:
    return melody(midi.read(shipped_root() / TUNE), TUNE_BARS)


def _band(model: Model, seed: int) -> list[tuple[str, Score | Sound]]:
    tune = _tune()
    own = [name for name in track_names(model) or BAND if name.lower() != tune.tracks[0].name]
    names = [name for name in own if name.lower() in BAND] or own
    if not names:
        raise UnsupportedError(f"{model.name} writes no track beside the tune's; expected a model of several tracks")
    return [("tune", tune), ("tune_with_band", model.accompany(tune, tracks=names, count=1, seed=seed)[0])]


def melody(score: Score, n_bars: int) -> Score:
    """Return the first bars of the piano track alone, in 4/4."""
    end = n_bars * 4 * score.resolution
    track = next(track for track in score.tracks if track.name == "piano")
    return replace(score, tracks=(replace(track, notes=track.notes.where(track.notes.offset <= end)),))


def _add(folder: OutputFolder, model: Model, seed: int, stem: str, item: Score | Sound) -> Entry:
    made = [file for file in folder.files if "sketch_of" not in file]
    name = f"{len(made) + 1:02d}_{stem}{'.mid' if isinstance(item, Score) else '.wav'}"
    if not isinstance(item, Score):
        write_sound(folder, item, name, model)
        return Entry(item, name, name)
    write_score(folder, item, name, model, seed)
    return Entry(item, name, add_sound(folder, item, name, made_by(model, seed)))
