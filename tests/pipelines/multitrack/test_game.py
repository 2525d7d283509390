"""The game over codes: masks, changed cells, loss terms and who moves."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from audiogan.adversarial.game import Moment
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Finished, TrainConfig, Trainer
from audiogan.corpus import midi
from audiogan.pipelines.multitrack.augment import CellAugmentConfig, augment_cells
from audiogan.pipelines.multitrack.config import CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.game import GameConfig, OptimizersConfig, _Terms, phases
from audiogan.pipelines.multitrack.masking import MaskConfig, SightConfig, draw_masks, draw_sight
from audiogan.pipelines.multitrack.networks import Encoder, build
from tests.pipelines.multitrack.small import CONFIG, song


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(n_clips: int = 4) -> dict[str, torch.Tensor]:
    roll = (torch.rand(n_clips, 2, 5, 2, 16, 72, generator=rng()) < 0.03).to(torch.uint8)
    level = torch.rand(n_clips, 5, 2, 16, generator=rng())
    return {"roll": roll, "velocity": level, "timing": level - 0.5}


def moment(share: float = 0.5) -> Moment:
    return Moment(step=3, share=share, n_seen=0, span_share=0.5, phase="generator")


# ---- masks


def test_each_job_hides_what_it_says() -> None:
    everything = draw_masks(20, 5, 4, MaskConfig(everything=1, tracks=0, bars=0, block=0), rng())
    assert (everything == 0).all()
    tracks = draw_masks(200, 5, 4, MaskConfig(everything=0, tracks=1, bars=0, block=0), rng())
    assert ((tracks.sum(2) == 0) | (tracks.sum(2) == 4)).all()
    assert {int(n) for n in tracks[:, :, 0].sum(1)} == {1, 2, 3, 4}
    bars = draw_masks(200, 5, 4, MaskConfig(everything=0, tracks=0, bars=1, block=0), rng())
    shapes = Counter(tuple(mask[0].int().tolist()) for mask in bars)
    assert set(shapes) == {(1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 1, 1, 1)}
    block = draw_masks(200, 5, 4, MaskConfig(everything=0, tracks=0, bars=0, block=1), rng())
    assert ((block == 0).sum((1, 2)) > 0).all()
    for mask in block:
        runs = {tuple(row.int().tolist()) for row in mask if (row == 0).any()}
        assert len(runs) == 1


def test_jobs_come_up_as_often_as_asked() -> None:
    masks = draw_masks(2000, 5, 4, MaskConfig(everything=3, tracks=1, bars=0, block=0), rng())
    assert 0.7 < float((masks.sum((1, 2)) == 0).float().mean()) < 0.8


def test_a_clip_of_one_cell_can_only_be_hidden() -> None:
    assert (draw_masks(50, 1, 1, MaskConfig(), rng()) == 0).all()


def test_a_game_without_jobs_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one above 0"):
        MaskConfig(everything=0, tracks=0, bars=0, block=0)


def test_sight_is_some_tracks_in_some_bars() -> None:
    shown = draw_sight(2000, 5, 4, SightConfig(whole=0.25, track=0.5, bar=0.5), rng())
    whole = shown.all(dim=2).all(dim=1).float().mean()
    assert 0.25 < float(whole) < 0.31
    assert shown.flatten(1).any(dim=1).all()
    tracks, bars = shown.any(dim=2), shown.any(dim=1)
    assert torch.equal(shown, tracks.unsqueeze(2) & bars.unsqueeze(1))
    assert draw_sight(50, 5, 4, SightConfig(whole=1.0), rng()).all()


def test_the_discriminator_sees_nothing_of_cells_out_of_sight() -> None:
    modules = build(CONFIG)
    terms = _Terms(modules, CONFIG, GameConfig(sight=SightConfig(whole=0.0, track=0.3, bar=0.5)))
    contest, mask = terms.contest(batch_of(20), moment())
    codes = torch.randn(20, 5, 2, 8, requires_grad=True)
    assert torch.equal((contest.conditions[0] >= 0) * mask, contest.conditions[0].clamp(min=0))
    terms.duel.side(moment(), "fake", contest.conditions)(codes).sum().backward()
    assert codes.grad is not None
    blind = (codes.grad == 0).all(dim=-1)
    assert 0.2 < float(blind.float().mean()) < 0.95


# ---- changed cells


def test_cells_are_moved_whole() -> None:
    cells = torch.zeros(200, 2, 8, 12, dtype=torch.uint8)
    cells[:, 0, 2, 5] = cells[:, 1, 3, 5] = 1
    config = CellAugmentConfig(share=1.0, max_pitch=3, overlay=0.0, thin=0.0)
    made, changed = augment_cells(cells, config, rng())
    assert changed.all()
    assert made.sum((1, 2, 3)).tolist() == [2] * 200
    onset, held = made[:, 0].nonzero(), made[:, 1].nonzero()
    assert torch.equal((onset[:, 1] + 1) % 8, held[:, 1])
    assert torch.equal(onset[:, 2], held[:, 2])
    assert set(onset[:, 2].tolist()) == set(range(2, 9))
    assert set(onset[:, 1].tolist()) == set(range(8))


def test_cells_that_are_not_changed_stay() -> None:
    cells = (torch.rand(100, 2, 8, 12, generator=rng()) < 0.1).to(torch.uint8)
    made, changed = augment_cells(cells, CellAugmentConfig(share=0.3), rng(1))
    assert 10 < int(changed.sum()) < 50
    assert torch.equal(made[~changed], cells[~changed])
    assert made.dtype == cells.dtype


def test_overlays_add_and_thinning_takes_away() -> None:
    cells = (torch.rand(300, 2, 8, 12, generator=rng()) < 0.1).to(torch.uint8)
    cells[:, 1] &= 1 - cells[:, 0]  # a cell is struck or held
    full = CellAugmentConfig(share=1.0, max_pitch=0, overlay=0.0, thin=0.0)
    plain = augment_cells(cells, full, rng(1))[0].sum()
    assert plain == cells.sum()
    assert augment_cells(cells, full.model_copy(update={"overlay": 1.0}), rng(1))[0].sum() > 1.5 * plain
    thinned = augment_cells(cells, full.model_copy(update={"thin": 1.0}), rng(1))[0].sum()
    assert 0.55 * plain < thinned < 0.78 * plain


# ---- terms and phases


def test_the_autoencoder_is_judged_by_every_head() -> None:
    terms = _Terms(build(CONFIG), CONFIG, GameConfig()).autoencoder(batch_of(), moment())
    assert set(terms) == {"drums_onset", "pitched_onset", "pitched_sustain", "velocity", "timing"}
    assert all(bool(term > 0) for term in terms.values())


def test_weights_of_the_autoencoder_scale_its_terms() -> None:
    modules = build(CONFIG)
    plain = _Terms(modules, CONFIG, GameConfig(sustain_weight=0.2, onset_weight=1.0)).autoencoder(batch_of(), moment())
    heavy = _Terms(modules, CONFIG, GameConfig(sustain_weight=0.4, onset_weight=2.0)).autoencoder(batch_of(), moment())
    assert heavy["pitched_sustain"].item() == pytest.approx(2 * plain["pitched_sustain"].item(), rel=1e-5)
    assert 1.0 < (heavy["pitched_onset"] / plain["pitched_onset"]).item() < 2.0


def test_a_pair_shares_mask_and_known_codes() -> None:
    real, fake, mask = _Terms(build(CONFIG), CONFIG, GameConfig()).pair(batch_of(40), moment())
    assert 0 < float(mask.mean()) < 1
    assert torch.equal(real[mask > 0.5], fake[mask > 0.5])
    assert not torch.equal(real[mask < 0.5], fake[mask < 0.5])


def test_written_codes_pass_a_gradient_to_the_generator() -> None:
    modules = build(CONFIG)
    terms = _Terms(modules, CONFIG, GameConfig(written_from=0.4))
    terms.generator(batch_of(), moment(0.5))["adversarial"].backward()
    gradients = [p.grad for p in modules["generator"].parameters() if p.grad is not None]
    assert any(bool((g != 0).any()) for g in gradients)
    early, late = (terms.pair(batch_of(), moment(share))[1] for share in (0.1, 0.5))
    assert not torch.equal(early, late)


@pytest.mark.parametrize("stochastic", [False, True])
def test_written_codes_are_codes_of_a_binary_roll(stochastic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = build(CONFIG)
    seen: dict[str, torch.Tensor] = {}
    encoder = modules["encoder"]
    assert isinstance(encoder, Encoder)
    encode = encoder.of_kinds
    monkeypatch.setattr(modules["encoder"], "of_kinds", lambda parts: seen.update(parts) or encode(parts))
    terms = _Terms(modules, CONFIG, GameConfig(stochastic=stochastic))
    terms.written(torch.randn(3, 5, 2, 8), moment())
    assert all(bool(((part == 0) | (part == 1)).all()) for part in seen.values())
    assert (seen["drums"][:, 1] == 0).all()


def test_penalties_come_when_due() -> None:
    terms = _Terms(build(CONFIG), CONFIG, GameConfig(penalty_interval=2, gamma=Schedule(start=4.0)))
    odd = terms.discriminator(batch_of(), moment())
    even = terms.discriminator(batch_of(), Moment(step=4, share=0.5, n_seen=0, phase="discriminator"))
    assert "r1" not in odd
    assert bool(even["r1"] > 0)
    assert bool(even["r2"] > 0)


def test_a_short_training_moves_everything_and_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs, cache = tmp_path / "songs", tmp_path / "cache"
    songs.mkdir()
    cache.mkdir()
    for number in range(4):
        midi.write(song(5, number), songs / f"{number}.mid")
    corpus = CorpusConfig(folder=str(songs))
    prepare(corpus, CONFIG, cache)
    data = open_dataset(cache, CONFIG, corpus, "train")

    def train(run: str, stop: int | None) -> dict[str, nn.Module]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            modules = build(CONFIG)
        game = phases(modules, CONFIG, GameConfig(autoencoder_share=0.5), OptimizersConfig())
        config = TrainConfig(budget="8 steps", batch_size=4, checkpoint_steps=3, tensorboard=False)
        trainer = Trainer(modules, game, data, config, tmp_path / run, quiet=True)
        if stop is None:
            assert isinstance(trainer.run(), Finished)
        else:
            stop_after(trainer, stop, monkeypatch)
            with pytest.raises(KeyboardInterrupt):
                trainer.run()
        return modules

    straight = train("straight", None)
    train("broken", 4)
    resumed = train("broken", None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = build(CONFIG)
    for name, module in straight.items():
        weights, others, first = module.state_dict(), resumed[name].state_dict(), fresh[name].state_dict()
        assert all(torch.equal(weights[key], others[key]) for key in weights)
        assert any(not torch.equal(weights[key], first[key]) for key in weights), name


def test_codes_can_be_brought_along() -> None:
    game = phases(build(CONFIG), CONFIG, GameConfig(autoencoder_share=0.0), OptimizersConfig())
    assert [phase.name for phase in game.phases] == ["discriminator", "harmony", "generator"]
    assert {phase.span for phase in game.phases} == {(0.0, 1.0)}


def stop_after(trainer: Trainer, n_steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break off in the middle of a step, as a power cut would."""
    step = trainer.step

    def broken(number: int, batches: Iterator[dict[str, torch.Tensor]]) -> None:
        step(number, batches)
        if number == n_steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "step", broken)
