"""Everything audiogan does, as plain functions with the names and options of the command line.

This is the only layer where recipe, corpus, pipeline, trainer and files meet. Importing it does not import torch; the
verbs that need it do so when they run.
"""

from audiogan.workflow.auditing import audit
from audiogan.workflow.cards import keep_measures, release_findings
from audiogan.workflow.choosing import average
from audiogan.workflow.comparing import beside
from audiogan.workflow.create import accompany, continue_clip, generate_midi, infill, interpolate, parse_bars, vary
from audiogan.workflow.learn import evaluate, prepare, train
from audiogan.workflow.look import doctor, inspect
from audiogan.workflow.model import card_of, licence_of, load, models, own_folder
from audiogan.workflow.sections import resolve
from audiogan.workflow.sounds import export, generate_notes, render, transfer
from audiogan.workflow.supervisor import train_supervised
from audiogan.workflow.tour import demo

__all__ = [
    "accompany",
    "audit",
    "average",
    "beside",
    "card_of",
    "continue_clip",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "generate_midi",
    "generate_notes",
    "infill",
    "inspect",
    "interpolate",
    "keep_measures",
    "licence_of",
    "load",
    "models",
    "own_folder",
    "parse_bars",
    "prepare",
    "release_findings",
    "render",
    "resolve",
    "train",
    "train_supervised",
    "transfer",
    "vary",
]
