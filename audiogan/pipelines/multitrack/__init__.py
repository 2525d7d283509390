"""Multitrack pianorolls: GANs that write MIDI clips for several instruments."""

from audiogan.pipelines.multitrack.beside import beside
from audiogan.pipelines.multitrack.calibration import finish
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.evaluation import evaluate
from audiogan.pipelines.multitrack.fingerprinting import compare_fingerprints, take_fingerprints
from audiogan.pipelines.multitrack.game import GameConfig, OptimizersConfig, phases
from audiogan.pipelines.multitrack.networks import build, load_modules
from audiogan.pipelines.multitrack.ownership import audit_folder
from audiogan.pipelines.multitrack.score import scoring
from audiogan.pipelines.multitrack.synthesis import (
    accompany,
    continue_clip,
    generate,
    infill,
    interpolate,
    transfer,
    vary,
    write,
)

OptimizerConfig = OptimizersConfig

__all__ = [
    "Config",
    "CorpusConfig",
    "GameConfig",
    "OptimizerConfig",
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
    "open_dataset",
    "phases",
    "prepare",
    "scoring",
    "take_fingerprints",
    "transfer",
    "vary",
    "write",
]
