"""Cards of earlier versions, brought into the schema of today without losing what they say.

Before `audiogan/card/1` a card was a loose mapping: one form was written by training, another by hand for the models
that are shipped. What has a place in the schema goes there; everything else is kept word for word among the notes. A
value of another type than expected counts as not known, and is kept among the notes too.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from audiogan.evaluation.measured import audit_of, row_of, rule_of
from audiogan.evaluation.provenance import MAX_LISTED, SCHEMA, UNKNOWN, list_hash

_MAX_TEXT = 20_000
_MAX_NOTES = 200
_MAX_COUNT = 1 << 53
_DISTANCES = ("metrics", "held-out music"), ("metrics_all_programs", "all programs of another SoundFont")


class _Rest:
    """A loose mapping from which facts are taken; what nobody took is left in `values`."""

    def __init__(self, values: object) -> None:
        self.values: dict[str, Any] = dict(values) if isinstance(values, Mapping) else {}

    def take(self, name: str, kind: type | tuple[type, ...], default: Any) -> Any:
        value = self.values.get(name)
        if value is None or not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return default
        return self.values.pop(name)

    def text(self, name: str, default: str = UNKNOWN) -> str:
        return self.take(name, str, default)[:_MAX_TEXT] or default

    def count(self, name: str) -> int | str:
        value = self.values.get(name)
        is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
        return self.values.pop(name) if is_count else UNKNOWN

    def sha256(self, name: str) -> str:
        value = self.values.get(name)
        return self.values.pop(name) if is_sha256(value) else UNKNOWN

    def part(self, name: str) -> "_Rest":
        return _Rest(self.take(name, dict, {}))

    def facts(self, name: str) -> dict[str, Any] | str:
        return self.take(name, dict, UNKNOWN)

    def texts(self, name: str) -> list[str]:
        return [str(text)[:_MAX_TEXT] for text in self.take(name, list, [])]

    def items(self, name: str) -> "list[_Rest]":
        """Mappings in a list; what else is in it is no item."""
        return [_Rest(item) for item in self.take(name, list, []) if isinstance(item, dict)]

    def counts(self, name: str) -> dict[str, int]:
        part = self.part(name)
        found = {key: part.count(key) for key in list(part.values)}
        self.leave(name, part)
        return {key: value for key, value in found.items() if isinstance(value, int)}

    def words(self, name: str) -> dict[str, str]:
        return {str(key): str(value)[:_MAX_TEXT] for key, value in self.take(name, dict, {}).items()}

    def leave(self, name: str, part: "_Rest") -> None:
        """Put back what nobody took of a part."""
        if part.values:
            self.values[name] = part.values

    def notes(self) -> list[str]:
        """Return what is left, one line each."""
        left = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in self.values.items() if value]
        return [line[:_MAX_TEXT] for line in left][:_MAX_NOTES]


def is_sha256(value: object) -> bool:
    """Return whether a value is 64 hexadecimal digits."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def migrated(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card that an earlier version's says, JSON-able, still to be checked against the schema.

    Args:
        old: As it was read.
    """
    rest = _Rest(old)
    card: dict[str, Any] = {"schema": SCHEMA, "name": rest.text("name"), "title": rest.text("title")}
    card["default"] = rest.take("default", bool, False)
    summary, corpus = rest.part("summary"), rest.part("corpus")
    parameters, config = rest.counts("parameters"), rest.facts("resolved_model")
    recipe = _recipe(rest, config, corpus)
    if config == UNKNOWN and isinstance(recipe["resolved"], dict):
        config = recipe["resolved"].get("model", UNKNOWN)
    config = config if isinstance(config, dict) else UNKNOWN
    card["model"] = _model(rest, parameters, config)
    card["corpus"] = _corpus(rest, summary, corpus)
    renderer = recipe["libraries"].get("midirenderer")
    card["data"] = {
        "representation": representation_of(config),
        "renderer": UNKNOWN if renderer is None else f"midirenderer {renderer}",
    }
    card |= {"recipe": recipe, "training": _training(rest), "metrics": _metrics(rest), "audit": _audit(rest)}
    card["use"] = {
        "licence": rest.text("licence"),
        "licence_note": rest.text("licence_note", ""),
        "intended": rest.text("use"),
        "known_weaknesses": rest.texts("known_weaknesses"),
    }
    rest.leave("summary", summary)
    rest.leave("corpus", corpus)
    return card | {"tried": rest.texts("tried"), "notes": [*rest.texts("notes"), *rest.notes()]}


def representation_of(config: object) -> dict[str, Any] | str:
    """Return how a file becomes numbers, as the `model` section of a recipe says it, without the networks.

    Args:
        config: The section, or anything else where it is not known.
    """
    if not isinstance(config, Mapping):
        return UNKNOWN
    return {str(key): value for key, value in config.items() if key not in {"network", "tracks"}} or UNKNOWN


def ranges_of(config: object) -> dict[str, Any]:
    """Return pitches, tracks and sample rate of a `model` section; null where it has no such thing.

    Args:
        config: The section.
    """
    known = _Rest(config)
    tracks = [track.text("name") for track in known.items("tracks")]
    lowest, highest = known.count("lowest_pitch"), known.count("highest_pitch")
    n_pitches, rate = known.count("n_pitches"), known.count("sample_rate")
    if isinstance(lowest, int) and isinstance(n_pitches, int):
        highest = lowest + n_pitches - 1
    if tracks and rate == UNKNOWN:
        rate = None
    return {"lowest_pitch": lowest, "highest_pitch": highest, "tracks": tracks, "sample_rate": rate}


def _recipe(rest: _Rest, config: object, corpus: _Rest) -> dict[str, Any]:
    versions = rest.words("versions")
    resolved: dict[str, Any] = dict(rest.take("resolved", dict, {}))
    if not resolved:
        given = {"model": config, "game": rest.facts("game"), "optimizer": rest.facts("optimizer")}
        given["corpus"] = {key: value for key, value in corpus.values.items() if key != "sources"} or UNKNOWN
        resolved = {key: value for key, value in given.items() if value != UNKNOWN}
        corpus.values = {key: value for key, value in corpus.values.items() if key == "sources"}
    return {
        "name": rest.text("recipe"),
        "resolved": resolved or UNKNOWN,
        "sha256": rest.sha256("recipe_sha256"),
        "audiogan": rest.text("audiogan"),
        "python": versions.pop("python", UNKNOWN),
        "torch": versions.pop("torch", UNKNOWN),
        "libraries": versions,
    }


def _model(rest: _Rest, parameters: dict[str, int], config: object) -> dict[str, Any]:
    width = rest.take("average_width", (int, float), None)
    return {
        "pipeline": rest.text("pipeline"),
        "weights_sha256": rest.sha256("weights_sha256"),
        "parameters": parameters,
        "averages": rest.text("averages"),
        "average_width": width if width is None or width >= 0 else None,
        "calibration": rest.text("calibration"),
        "config": config,
    } | ranges_of(config)


def _corpus(rest: _Rest, summary: _Rest, corpus: _Rest) -> dict[str, Any]:
    rest.values.pop("licences_of_the_songs", None)  # said again by the sources and by the counts
    sources = [*corpus.items("sources"), *summary.items("sources")]
    songs = summary.items("songs")
    files = [_file(song) for song in songs] or [_font_file(source) for source in sources if _is_font(source)]
    refused = summary.part("refused")
    found = {
        "sources": [_source(source) for source in sources],
        "files": files[:MAX_LISTED],
        "n_files_not_listed": max(0, len(files) - MAX_LISTED),
        "list_sha256": list_hash((one["sha256"], one["name"]) for one in files) if files else UNKNOWN,
        "instruments": [_instrument(one) for one in summary.items("instruments")][:MAX_LISTED],
        "clips": summary.counts("n_clips"),
        "n_duplicates": summary.count("n_duplicates"),
        "refused": {key: _refused(refused.values[key]) for key in refused.values},
        "warned": summary.counts("warned"),
        "licences": summary.counts("licences"),
    }
    totals = {name: summary.count(name) for name in list(summary.values) if name.startswith("n_")}
    return found | {"totals": {name: value for name, value in totals.items() if value != UNKNOWN}}


def _file(song: _Rest) -> dict[str, Any]:
    known = {name: song.text(name) for name in ("name", "licence", "origin", "author", "split")}
    return known | {"sha256": song.sha256("sha256"), "bytes": song.count("bytes")}


def _is_font(source: _Rest) -> bool:
    return source.values.get("kind") == "soundfont"


def _font_file(source: _Rest) -> dict[str, Any]:
    known = {name: _Rest(source.values).text(name) for name in ("name", "licence", "origin", "author")}
    return known | {"sha256": source.sha256("sha256"), "split": "by instrument"}


def _source(source: _Rest) -> dict[str, Any]:
    known = {name: source.text(name) for name in ("name", "kind", "family", "licence", "origin")}
    return known | {"n_notes": source.count("n_notes")}


def _instrument(one: _Rest) -> dict[str, Any]:
    return {"name": one.text("name"), "split": one.text("split"), "n_notes": one.count("n_notes")}


def _refused(value: object) -> dict[str, Any]:
    if isinstance(value, list):
        return {"n": len(value), "messages": [str(text)[:_MAX_TEXT] for text in value[:100]]}
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
    return {"n": value if is_count else UNKNOWN, "messages": []}


def _training(rest: _Rest) -> dict[str, Any]:
    seed = rest.take("seed", (int, list), [])
    seeds = [one for one in (seed if isinstance(seed, list) else [seed]) if isinstance(one, int) and one >= 0]
    stages = [
        {
            "about": one.text("about"),
            "steps": one.count("steps"),
            "budget": one.text("of"),
            "n_seen": one.count("n_seen"),
            "game": one.facts("game"),
            "optimizer": one.facts("optimizer"),
        }
        for one in rest.items("stages")
    ]
    steps, n_seen = rest.count("steps"), rest.count("n_seen")
    if stages and steps == UNKNOWN:
        steps, n_seen = _sum(stages, "steps"), _sum(stages, "n_seen")
    begins = rest.values.get("parent", UNKNOWN)
    parent = parent_of(rest.take("parent", dict, {})) if isinstance(begins, dict) else None
    if "parent" not in rest.values and parent is None:
        parent = UNKNOWN
    rest.values.pop("parent", None)
    words = rest.text("compute")
    return {
        "seeds": [one for one in seeds if one <= _MAX_COUNT],
        "steps": steps,
        "n_seen": n_seen,
        "budget": rest.text("of"),
        "stages": stages,
        "parent": parent,
        "effort": {"in_words": words},
    }


def _sum(stages: Sequence[Mapping[str, Any]], name: str) -> int | str:
    values = [stage[name] for stage in stages]
    return sum(values) if all(isinstance(value, int) for value in values) else UNKNOWN


def parent_of(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the model that a training began with.

    Args:
        old: As an earlier card names it.
    """
    rest = _Rest(old)
    seed = rest.count("seed")
    before = rest.values.get("parent", UNKNOWN)
    return {
        "name": rest.text("name"),
        "weights_sha256": rest.sha256("weights_sha256"),
        "recipe": rest.text("recipe"),
        "recipe_sha256": rest.sha256("recipe_sha256"),
        "resolved": rest.facts("resolved"),
        "seeds": [] if seed == UNKNOWN else [seed],
        "steps": rest.count("steps"),
        "n_seen": rest.count("n_seen"),
        "parent": parent_of(before) if isinstance(before, dict) else None if before is None else UNKNOWN,
    }


def _metrics(rest: _Rest) -> list[dict[str, Any]]:
    found = []
    for key, name in _DISTANCES:
        part = rest.part(key)
        if not part.values:
            continue
        rows = [row for row in map(row_of, part.take("rows", list, [])) if row is not None]
        known = {field: part.count(field) for field in ("n", "seed", "passed", "judged")}
        told = {field: part.text(field) for field in ("command", "reference")}
        heard = [one for one in part.take("listening", list, []) if isinstance(one, dict)]
        copying = part.take("copying", dict, None)
        found.append({"name": name, **told, **known, "rows": rows, "listening": heard, "copying": copying})
        rest.leave(key, part)
    return found


def _audit(rest: _Rest) -> dict[str, Any]:
    told = rest.text("audit", "")
    if told:
        return {"verdict": "not made", "in_words": told}
    part = rest.part("audit")
    rules = part.part("rules")  # by name, in the cards that were shipped
    listed = part.take("rules", list, [])
    counts = part.part("n")
    controls = part.words("controls") if isinstance(part.values.get("controls"), dict) else {}
    if not part.values and not rules.values:
        return {"verdict": "not made", "in_words": UNKNOWN}
    known = {f"n_{name}": counts.count(name) for name in ("made", "held_out", "learnt")}
    found = audit_of(
        {**part.values, **{key: value for key, value in known.items() if value != UNKNOWN}, "rules": listed}
    )
    found["rules"] += [
        rule for name, value in rules.values.items() if (rule := rule_of({"name": name, **_mapping(value)}))
    ]
    found["controls"] += [_control(name, told) for name, told in controls.items()]
    return found


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): inner for key, inner in value.items()} if isinstance(value, Mapping) else {}


def _control(name: str, told: str) -> dict[str, Any]:
    held, _, draws = told.partition(" of ")
    counts = [int(part) if part.isdecimal() and len(part) < 10 else UNKNOWN for part in (held, draws)]
    return {"name": name[:_MAX_TEXT], "n_held": counts[0], "n_draws": counts[1]}
