"""The schema of the card that travels with a model: `audiogan/card/1`, strict, bounded, nothing left out.

A card says what a model learnt from, how, and how good it is, in blocks that programs can rely on. What nobody knows is
the word `unknown`; `null` stands where a figure does not exist. A card is foreign input: `parse` takes at most
`MAX_BYTES`, no unknown names, no NaN, and refuses a card that leaves a name out. Cards of earlier versions come in
through `audiogan.evaluation.older_cards`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from audiogan.corpus.names import escape
from audiogan.corpus.strict_json import parse_json
from audiogan.errors import CheckpointError, CorpusError

SCHEMA = "audiogan/card/1"
UNKNOWN = "unknown"
MAX_BYTES = 1 << 25
MAX_LISTED = 50_000
"""Files, or instruments, that a card lists; the others are counted, and the hash of the list is over all of them."""

Unknown = Literal["unknown"]
Text = Annotated[str, Field(max_length=20_000)]
Texts = tuple[Text, ...]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | Unknown
Count = Annotated[int, Field(ge=0, le=1 << 53)] | Unknown
Amount = Annotated[float, Field(ge=0)] | Unknown
Facts = dict[Text, JsonValue]
Verdict = Literal["pass", "warn", "fail", "no power", "not judged", "not made"]


class Block(BaseModel):
    """A part of a card: no name but its own, no value of another type, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


class CorpusFile(Block):
    """One file that was learnt from, or held out."""

    name: Text
    sha256: Sha256 = UNKNOWN
    hash_of: Text = Field(
        default="bytes", description="`bytes` of the file, or `samples`: of its sound as 16-bit numbers."
    )
    bytes: Count = UNKNOWN
    licence: Text = UNKNOWN
    origin: Text = UNKNOWN
    author: Text = UNKNOWN
    split: Text = Field(default=UNKNOWN, description="`train`, `valid`, `test`; `by instrument` for a file of several.")


class Source(Block):
    """A folder, an archive or a SoundFont that files or notes came from; `n_notes` of them were taken."""

    name: Text = UNKNOWN
    kind: Text = UNKNOWN
    family: Text = UNKNOWN
    licence: Text = UNKNOWN
    origin: Text = UNKNOWN
    n_notes: Count = UNKNOWN


class Instrument(Block):
    """An instrument of the corpus, all of whose notes are in one split."""

    name: Text
    split: Text = UNKNOWN
    n_notes: Count = UNKNOWN


class Refused(Block):
    """What was refused for one reason: how many, and the first messages."""

    n: Count
    messages: Texts = ()


class Corpus(Block):
    """What was learnt from. `list_sha256` is `list_hash` of all files; `opt_out` are hashes left out by request."""

    sources: tuple[Source, ...] = ()
    files: tuple[CorpusFile, ...] = ()
    n_files_not_listed: Count = 0
    list_sha256: Sha256 = UNKNOWN
    instruments: tuple[Instrument, ...] = ()
    totals: dict[Text, Count] = {}
    clips: dict[Text, Count] = Field(default={}, description="Training examples, notes or clips, by split.")
    n_duplicates: Count = UNKNOWN
    refused: dict[Text, Refused] = {}
    warned: dict[Text, Count] = {}
    licences: dict[Text, Count] = Field(default={}, description="Files or notes by licence.")
    opt_out: tuple[Sha256, ...] | Unknown = UNKNOWN


class Font(Block):
    """A SoundFont that notes were rendered with."""

    name: Text
    version: Text = UNKNOWN
    sha256: Sha256 = UNKNOWN


class DataPath(Block):
    """From files to numbers."""

    representation: Facts | Unknown = UNKNOWN
    normaliser: Text = UNKNOWN
    renderer: Text = UNKNOWN
    fonts: tuple[Font, ...] = ()


class Recipe(Block):
    """What the training was told, and with which programs it ran."""

    name: Text = UNKNOWN
    resolved: Facts | Unknown = UNKNOWN
    sha256: Sha256 = UNKNOWN
    audiogan: Text = UNKNOWN
    source_revision: Text = UNKNOWN
    python: Text = UNKNOWN
    torch: Text = UNKNOWN
    libraries: dict[Text, Text] = {}


class Effort(Block):
    """What a training took, summed over the parts of a run that was stopped and resumed."""

    wall_seconds: Amount = UNKNOWN
    cpu_seconds: Amount = UNKNOWN
    examples_per_second: Amount = UNKNOWN
    peak_memory_mib: Amount = UNKNOWN
    peak_device_memory_mib: Amount | None = UNKNOWN
    device: Text = UNKNOWN
    threads: Count = UNKNOWN
    processes: Count = UNKNOWN
    restarts: Count = UNKNOWN
    unmeasured_parts: Count = Field(
        default=UNKNOWN, description="Parts that were killed, so that their time is missing."
    )
    rollbacks: Count = UNKNOWN
    skipped_steps: Count = UNKNOWN
    alarms: Texts | Unknown = UNKNOWN
    in_words: Text = UNKNOWN


class Stage(Block):
    """One of several trainings that followed each other."""

    about: Text = UNKNOWN
    steps: Count = UNKNOWN
    budget: Text = UNKNOWN
    n_seen: Count = UNKNOWN
    game: Facts | Unknown = UNKNOWN
    optimizer: Facts | Unknown = UNKNOWN


class Parent(Block):
    """The model that a training began with."""

    name: Text = UNKNOWN
    weights_sha256: Sha256 = UNKNOWN
    recipe: Text = UNKNOWN
    recipe_sha256: Sha256 = UNKNOWN
    resolved: Facts | Unknown = UNKNOWN
    seeds: tuple[Count, ...] = ()
    steps: Count = UNKNOWN
    n_seen: Count = UNKNOWN
    parent: "Parent | Unknown | None" = UNKNOWN


class Training(Block):
    """How long, with which seeds, from what; `parent` is null for a training from nothing."""

    seeds: tuple[Count, ...] = ()
    steps: Count = UNKNOWN
    n_seen: Count = UNKNOWN
    budget: Text = UNKNOWN
    stages: tuple[Stage, ...] = ()
    parent: Parent | Unknown | None = UNKNOWN
    effort: Effort = Effort()


class Networks(Block):
    """What was trained. Pitches are MIDI numbers; `sample_rate` in Hz; null where a model has no such thing."""

    pipeline: Text = UNKNOWN
    weights_sha256: Sha256 = UNKNOWN
    parameters: dict[Text, Count] = {}
    averages: Text = UNKNOWN
    average_width: Amount | None = UNKNOWN
    calibration: Text = UNKNOWN
    lowest_pitch: Amount | None = UNKNOWN
    highest_pitch: Amount | None = UNKNOWN
    tracks: Texts = ()
    sample_rate: Count | None = UNKNOWN
    config: Facts | Unknown = UNKNOWN


class Row(Block):
    """A figure with what it can be compared to: real against real (`floor`), an untrained network (`ceiling`)."""

    metric: Text
    form: Text = ""
    column: Text = ""
    value: float | None
    low: float | None
    high: float | None
    real: float | None = None
    real_low: float | None = None
    real_high: float | None = None
    floor: float | None = None
    floor_low: float | None = None
    floor_high: float | None = None
    ceiling: float | None = None
    gap: float | None = None
    n: Count = UNKNOWN
    n_real: Count = UNKNOWN
    split: Text = UNKNOWN
    embedding: Text = Field(default=UNKNOWN, description="What turns items into vectors; `none` where nothing does.")
    embedding_sha256: Text = Field(
        default="", description="Of its weights, or of its names and scales; empty for none."
    )
    seed: Count = UNKNOWN
    passes: bool | None = None
    counted: bool = Field(default=True, description="Whether it is among the figures that `judged` counts.")
    note: Text = ""


class Measures(Block):
    """What one evaluation found."""

    name: Text
    command: Text = UNKNOWN
    reference: Text = UNKNOWN
    n: Count = UNKNOWN
    seed: Count = UNKNOWN
    passed: Count = UNKNOWN
    judged: Count = UNKNOWN
    rows: tuple[Row, ...] = ()
    listening: tuple[Facts, ...] = ()
    copying: Facts | None = None


class Rule(Block):
    """A statistic of the audit with its 95 % interval."""

    name: Text
    value: float | None
    low: float | None
    high: float | None
    n: Count = UNKNOWN
    verdict: Verdict


class Control(Block):
    """How often a control of the audit came out as it must."""

    name: Text
    n_held: Count
    n_draws: Count


class Audit(Block):
    """Does the model copy? See `audiogan.evaluation.audit`."""

    verdict: Verdict = "not made"
    in_words: Text = UNKNOWN
    rules: tuple[Rule, ...] = ()
    controls: tuple[Control, ...] = ()
    limits: dict[Text, float] = {}
    n_made: Count = UNKNOWN
    n_held_out: Count = UNKNOWN
    n_learnt: Count = UNKNOWN
    n_copies: Count = UNKNOWN
    pairs: tuple[Facts, ...] = ()
    seed: Count = UNKNOWN


class Use(Block):
    """What may be done with the weights, what they are for, and what is wrong with them."""

    licence: Text = UNKNOWN
    licence_note: Text = ""
    intended: Text = UNKNOWN
    known_weaknesses: Texts = ()


class Card(Block):
    """All that is known of a model."""

    schema_: Literal["audiogan/card/1"] = Field(default=SCHEMA, alias="schema")
    name: Text = UNKNOWN
    title: Text = UNKNOWN
    default: bool = False
    corpus: Corpus = Corpus()
    data: DataPath = DataPath()
    recipe: Recipe = Recipe()
    training: Training = Training()
    model: Networks = Networks()
    metrics: tuple[Measures, ...] = ()
    audit: Audit = Audit()
    use: Use = Use()
    tried: Texts = ()
    notes: Texts = ()

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values, every name of the schema among them."""
        return self.model_dump(mode="json", by_alias=True)

    def as_bytes(self) -> bytes:
        """Return the content of `card.json`."""
        return (json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def list_hash(files: Iterable[tuple[str, str]]) -> str:
    """Return one hash for a list of files, whatever their order.

    Args:
        files: Hash and name of each; the list is hashed as `sha256sum` would print it, sorted.
    """
    lines = sorted(f"{sha256}  {name}\n" for sha256, name in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def parse(data: bytes, source: str) -> Card:
    """Read the bytes of a card of this schema, or of an earlier version's.

    Args:
        data: Of the file.
        source: What to call it in a refusal.

    Raises:
        CheckpointError: `too_large` or `bad_config`: not JSON, names of no card, values of other types.
    """
    from audiogan.evaluation.older_cards import migrated

    try:
        found = parse_json(data, source, max_bytes=MAX_BYTES)
    except CorpusError as error:
        raise CheckpointError(f"{error}", error.reason) from None
    is_older = "schema" not in found
    card = validated(migrated(found) if is_older else found, source)
    if not is_older and (name := next(_left_out(card, ""), None)):
        raise CheckpointError(f'{source}: {name} is left out; expected a value or "{UNKNOWN}"', "bad_config")
    return card


def validated(values: dict[str, Any], source: str) -> Card:
    """Return the card that JSON-able values make.

    Args:
        values: As `Card.as_json` returns them; what is left out gets its default.
        source: What to call them in a refusal.

    Raises:
        CheckpointError: `bad_config`: the first name that does not fit the schema.
    """
    try:
        return Card.model_validate_json(json.dumps(values, allow_nan=False))
    except (ValueError, RecursionError) as error:
        told = "a number that is not finite, or a text that is none"
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            told = f"{escape('.'.join(map(str, first['loc'])))[:200]}: {escape(first['msg'])[:200]}"
        raise CheckpointError(f"{source}: {told}; expected a card of schema {SCHEMA}", "bad_config") from None


def _left_out(block: Block, place: str) -> Iterator[str]:
    for name, field in type(block).model_fields.items():
        if name not in block.model_fields_set:
            yield f"{place}{field.alias or name}"
        value = getattr(block, name)
        inside = value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else (value,)
        for inner in inside:
            if isinstance(inner, Block):
                yield from _left_out(inner, f"{place}{name}.")
