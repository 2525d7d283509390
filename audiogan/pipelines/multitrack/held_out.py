"""Real clips that a model was not trained on: what a shipped model carries of them, and where others come from.

All clips are compared on twelve timesteps a beat, also those of a model with fewer: on a grid of sixteenths some
metrics could not fail.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiogan import recipe as recipes
from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.corpus.score import Score
from audiogan.errors import CorpusError, UsageError
from audiogan.evaluation.splits import check_parted_as_before
from audiogan.pipeline import Model, Progress
from audiogan.pipelines.multitrack.config import CellsConfig, Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import Clips, Summary, keep_split, open_dataset, prepare
from audiogan.pipelines.multitrack.grid import ClipGrid
from audiogan.representation.pianoroll import to_score

FINE = 12
REFERENCE = "reference"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Clips to compare with.

    Args:
        clips, songs: Real clips that the model never saw, and the number of the song of each.
        learnt, learnt_songs: All training clips; none where the run that made the model is not at hand.
        split: Where the clips come from.
    """

    clips: list[Score]
    songs: list[int]
    learnt: list[Score]
    learnt_songs: list[int]
    split: str


def fine(config: Config) -> Config:
    """Return the same tracks on the grid of comparison: twelve timesteps a beat, or the model's own."""
    resolution = FINE if FINE % config.beat_resolution == 0 else config.beat_resolution
    return config.model_copy(update={"beat_resolution": resolution, "network": CellsConfig()})


def clip_grid(config: Config) -> ClipGrid:
    """Return the shape of a model's clips for the metrics."""
    config = fine(config)
    return ClipGrid(
        n_bars=config.n_bars,
        beats_per_bar=config.grid.n_timesteps // config.beat_resolution,
        beat_resolution=config.beat_resolution,
        roles=tuple(role.name for role in config.roles),
        drums=tuple(role.name for role in config.roles if role.is_drum),
    )


def hold_out(corpus: CorpusConfig, config: Config, folder: Path) -> Summary:
    """Keep a corpus's test songs (valid ones if there are none) in a model's `reference` folder.

    Args:
        corpus: What the model was trained on, with the same fractions.
        config: The model's.
        folder: The model's folder.
    """
    kept = folder / REFERENCE
    kept.mkdir(parents=True, exist_ok=True)
    summary = prepare(corpus, fine(config), kept)
    keep_split(kept, "test" if summary.n_clips["test"] else "valid")
    (kept / "index.jsonl").unlink()
    values = corpus.model_dump(mode="json") | {"folder": REFERENCE, "sources": []}
    write_whole(kept / "corpus.json", json.dumps(values).encode())
    return summary


def clips_of(dataset: Clips, n_clips: int) -> tuple[list[Score], list[int]]:
    """Return up to `n_clips` clips, evenly chosen, as scores, and the number of the song of each."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(n_clips, len(dataset))).astype(int)).tolist()
    config = dataset.config
    scores = [to_score(dataset.notes_of(i), config.grid, config.roles) for i in chosen]
    return scores, [dataset.song_of(i) for i in chosen]


def find(model: Model, reference: Path | None, *, count: int, progress: Progress | None = None) -> HeldOut:
    """Return held-out clips for a model: of a folder, of the model's own `reference`, or of its run.

    Args:
        model: Trained networks.
        reference: Folder of songs; None for the model's own clips.
        count: Most clips to compare with.
        progress: Called while songs are prepared, with songs done and their number.

    Raises:
        UsageError: No songs at hand, or only such as the model was trained on.
        CorpusError: The songs cannot be read, or are not those of the model's run any more.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        held_out, trained, split = _datasets(model, reference, Path(cache), progress)
        clips, songs = clips_of(held_out, count)
        learnt, learnt_songs = clips_of(trained, len(trained)) if trained is not None else ([], [])
    return HeldOut(clips, songs, learnt, learnt_songs, split)


def _datasets(
    model: Model, reference: Path | None, cache: Path, progress: Progress | None
) -> tuple[Clips, Clips | None, str]:
    """Return held-out clips, training clips where the run that made the model is at hand, and where they come from."""
    config = fine(model.config)
    kept = model.folder / REFERENCE
    if reference is None and kept.is_dir():
        return open_dataset(kept, config, _kept_corpus(kept), "test"), None, "held out"
    if reference is None:
        corpus = _own_corpus(model)
        taken = prepare(corpus, config, cache, progress=progress)
        check_parted_as_before(model.folder.parent, "songs", taken.songs, by="sha256")
        split = "test" if len(open_dataset(cache, config, corpus, "test")) else "valid"
        return open_dataset(cache, config, corpus, split), open_dataset(cache, config, corpus, "train"), split
    known = {song["sha256"] for song in model.card.get("summary", {}).get("songs", ()) if song["split"] == "train"}
    whole = {"folder": str(reference), "valid_fraction": 0.0, "test_fraction": 0.0, "transpose": False}
    corpus = CorpusConfig.model_validate(whole)
    taken = prepare(corpus, config, cache, progress=progress)
    dataset = open_dataset(cache, config, corpus, "train")
    new = [taken.songs[dataset.song_of(i)]["sha256"] not in known for i in range(len(dataset))]
    dataset.windows = dataset.windows[new]
    if not len(dataset):
        raise UsageError(f"{escape(reference)}: the model was trained on all these songs; expected songs new to it")
    return dataset, None, "reference folder"


def _kept_corpus(kept: Path) -> CorpusConfig:
    try:
        return CorpusConfig.model_validate_json((kept / "corpus.json").read_bytes())
    except (OSError, ValueError) as error:
        reason = escape(str(error).splitlines()[0])
        raise CorpusError(
            f"{escape(kept / 'corpus.json')}: {reason}; expected the songs that came with the model", "bad_config"
        ) from None


def _own_corpus(model: Model) -> CorpusConfig:
    """Read the corpus section of the run that a model lies in."""
    path = model.folder.parent / "recipe.yaml"
    if not path.is_file():
        name = escape(model.name)
        raise UsageError(f"{name}: its training songs are not at hand; expected a reference folder of real songs")
    try:
        return CorpusConfig.model_validate(recipes.read(path)["corpus"])
    except (ValueError, KeyError) as error:
        reason = escape(str(error).splitlines()[0])
        raise CorpusError(f"{escape(path)}: corpus: {reason}; expected the run's recipe", "bad_config") from None
