"""Which gates a candidate has to pass, and their bounds: the defaults, and what a YAML file says otherwise."""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from sparknlp_tx.errors import InputError, nearest
from sparknlp_tx.lifecycle.yaml_file import read_mapping


@dataclass(frozen=True)
class MetricGate:
    """The lower end of the paired 95 % interval of candidate minus champion is above minus `margin`.

    Attributes:
        name: of the metric; `auto` is accuracy, micro_f1 or pearson. margin: 0.005 is half a point.
        least: the candidate's own value has to reach it, with a champion or without; None for any.
        least_rows: labelled rows that the table has to have.
    """

    name: str = "auto"
    margin: float = 0.005
    least: float | None = None
    least_rows: int = 100


@dataclass(frozen=True)
class GroupGate:
    """No group of rows, of a label or of a slice, is worse than the champion's by more than `bound`, beyond chance after Holm's correction.

    Attributes:
        bound: difference of the share of rows that are right, 0 to 1; of regression the part by which the error may be larger.
        least_rows: groups of fewer rows are not judged.
    """

    bound: float = 0.05
    least_rows: int = 20


@dataclass(frozen=True)
class CalibrationGate:
    """The candidate's expected calibration error is at most `worse_by` above the champion's; without a champion at most `most`."""

    worse_by: float = 0.05
    most: float = 0.2


@dataclass(frozen=True)
class SpeedGate:
    """The candidate scores at least `least_ratio` times as many rows a second as the champion, on this machine, measured in turn."""

    least_ratio: float = 0.5


@dataclass(frozen=True)
class SizeGate:
    """The candidate's files are at most `most_ratio` times as large as the champion's, and at most `most_mb` (None: any)."""

    most_ratio: float = 2.0
    most_mb: float | None = None


@dataclass(frozen=True)
class AgreementGate:
    """Of the rows that the champion has right the candidate has at least this share right as well: few answers that were good change.

    What changes from right to wrong are the negative flips of Yan et al. 2021 (Positive-Congruent Training, arXiv:2011.09161).
    """

    least: float = 0.8


@dataclass(frozen=True)
class SignatureGate:
    """The candidate takes and gives the same columns as the champion."""


@dataclass(frozen=True)
class FilesGate:
    """The candidate is safetensors alone: no pickle, no code from the hub."""


@dataclass(frozen=True)
class LicenceGate:
    """The licence of the candidate's checkpoint is among those allowed.

    Attributes:
        allowed: as the hub spells them. required: whether a checkpoint that says none fails.
    """

    allowed: tuple[str, ...] = ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc0-1.0", "unlicense")
    required: bool = False


@dataclass(frozen=True)
class LeakageGate:
    """At most this share of the test rows has a text that is among the training rows."""

    most: float = 0.0


@dataclass(frozen=True)
class BehaviourGate:
    """The candidate passes at least this share of behaviour tests; `tests`: a CSV file or a table, see `behaviour`."""

    tests: str | None = None
    least: float = 1.0


@dataclass(frozen=True)
class GateSettings:
    """Every gate; None for one that is left out."""

    metric: MetricGate | None = field(default_factory=MetricGate)
    classes: GroupGate | None = field(default_factory=GroupGate)
    slices: GroupGate | None = field(default_factory=GroupGate)
    calibration: CalibrationGate | None = field(default_factory=CalibrationGate)
    throughput: SpeedGate | None = field(default_factory=SpeedGate)
    size: SizeGate | None = field(default_factory=SizeGate)
    agreement: AgreementGate | None = field(default_factory=AgreementGate)
    signature: SignatureGate | None = field(default_factory=SignatureGate)
    files: FilesGate | None = field(default_factory=FilesGate)
    licence: LicenceGate | None = field(default_factory=LicenceGate)
    leakage: LeakageGate | None = field(default_factory=LeakageGate)
    behaviour: BehaviourGate | None = field(default_factory=BehaviourGate)


def read_gates(gates: str | dict[str, Any] | None) -> GateSettings:
    """The gates of a YAML file, or of a dict of the same form: gate to `false`, `true`, or a map of its settings; None for the defaults.

    Raises:
        InputError: no such file, an unknown gate or setting (offers the nearest), or a value out of its range.
    """
    if gates is None:
        return GateSettings()
    where = "the gates" if isinstance(gates, dict) else gates
    given = gates if isinstance(gates, dict) else read_mapping(gates, "gates")
    defaults = GateSettings()
    known = [each.name for each in fields(GateSettings)]
    chosen: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise InputError(f"names of gates in {where}", repr(name), nearest(str(name), known))
        chosen[name] = _gate(name, value, getattr(defaults, name), where)
    return GateSettings(**chosen)


def _gate(name: str, value: Any, default: Any, where: str) -> Any:
    """One gate with the settings that are given; None where it is switched off."""
    if value is None or value is True:
        return default
    if value is False:
        return None
    if not isinstance(value, dict):
        raise InputError(
            f"true, false or a map of settings for {name} in {where}", repr(value), f"Write {name}: false, or its settings."
        )
    known = {each.name: getattr(default, each.name) for each in fields(default)}
    for key, setting in value.items():
        if key not in known:
            raise InputError(f"settings of the gate {name} in {where}", repr(key), nearest(str(key), known))
        _check_setting(f"{name}.{key}", setting, known[key], where)
    typed = {key: tuple(setting) if isinstance(setting, list) else setting for key, setting in value.items()}
    return type(default)(**typed)


def _check_setting(name: str, value: Any, default: Any, where: str) -> None:
    """Raise InputError where a setting is of another kind than its default, or a bound is negative."""
    kinds = {bool: "true or false", str: "a text", tuple: "a list of texts", int: "a whole number", float: "a number"}
    text = name == "behaviour.tests"
    kind = str if text else float if default is None else type(default)
    fits = {
        bool: isinstance(value, bool),
        str: isinstance(value, str),
        tuple: isinstance(value, list | tuple) and all(isinstance(each, str) for each in value),
        int: isinstance(value, int) and not isinstance(value, bool) and value > 0,
        float: isinstance(value, int | float) and not isinstance(value, bool) and (value >= 0 or name == "metric.least"),
    }
    if not fits[kind]:
        more = {int: " above 0", float: " of 0 or more"}.get(kind, "")
        raise InputError(f"{kinds[kind]}{more} for {name} in {where}", repr(value), "Change it.")


def as_dict(settings: GateSettings) -> dict[str, Any]:
    """The settings as a JSON object; false for a gate that is left out."""
    found: dict[str, Any] = {}
    for each in fields(settings):
        gate = getattr(settings, each.name)
        found[each.name] = {f.name: getattr(gate, f.name) for f in fields(gate)} if is_dataclass(gate) else False
    return found
