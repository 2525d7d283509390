"""Single notes: GANs that play pitches, and what can be made of them."""

from audiogan.pipelines.waveform.beside import beside
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.dataset import open_dataset, prepare
from audiogan.pipelines.waveform.encoding import timbre_of, timbre_of_several
from audiogan.pipelines.waveform.evaluation import evaluate
from audiogan.pipelines.waveform.fingerprinting import compare_fingerprints, take_fingerprints
from audiogan.pipelines.waveform.game import GameConfig, OptimizersConfig, phases
from audiogan.pipelines.waveform.instrument import write_instrument
from audiogan.pipelines.waveform.networks import build, load_modules
from audiogan.pipelines.waveform.ownership import audit_folder
from audiogan.pipelines.waveform.render import render
from audiogan.pipelines.waveform.score import scoring
from audiogan.pipelines.waveform.settling import finish, settle
from audiogan.pipelines.waveform.sound import Sound, write
from audiogan.pipelines.waveform.synthesis import (
    accompany,
    continue_clip,
    generate,
    infill,
    interpolate,
    vary,
)
from audiogan.pipelines.waveform.timbre import Timbre, load_timbre, random_timbre, save_timbre
from audiogan.pipelines.waveform.transfer import transfer

OptimizerConfig = OptimizersConfig
RESUMES_PREPARE = True

__all__ = [
    "RESUMES_PREPARE",
    "Config",
    "CorpusConfig",
    "GameConfig",
    "OptimizerConfig",
    "Sound",
    "Timbre",
    "accompany",
    "audit_folder",
    "beside",
    "build",
    "compare_fingerprints",
    "continue_clip",
    "evaluate",
    "finish",
    "generate",
    "infill",
    "interpolate",
    "load_modules",
    "load_timbre",
    "open_dataset",
    "phases",
    "prepare",
    "random_timbre",
    "render",
    "save_timbre",
    "scoring",
    "settle",
    "take_fingerprints",
    "timbre_of",
    "timbre_of_several",
    "transfer",
    "vary",
    "write",
    "write_instrument",
]
