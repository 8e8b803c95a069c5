"""The way from what an endpoint serves to the new version alone, and the way back. Nothing is called here."""

from dataclasses import replace
from typing import Any

from sparknlp_tx.errors import InputError
from sparknlp_tx.serving.deployment.config import Config
from sparknlp_tx.tracking.registry import Version

SIZES = ("Small", "Medium", "Large")
TYPES = (
    *("CPU", "CPU_MEDIUM", "CPU_LARGE", "GPU_SMALL", "GPU_MEDIUM", "GPU_LARGE", "GPU_XLARGE", "GPU_XLARGE_8"),
    "MULTIGPU_MEDIUM",
)


def made_from(version: Version, like: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """What an entity of a version is made from: as the one before it, but for what is asked.

    Args:
        like: the entity before it; empty for none.
        asked: fields of the API; None for what was not asked.
    """
    given = {key: value for key, value in asked.items() if value is not None}
    if "workload_size" in given:
        like = {key: value for key, value in like.items() if not key.endswith("_provisioned_concurrency")}
    default = {} if like else {"workload_size": "Small", "workload_type": "CPU", "scale_to_zero_enabled": False}
    return default | like | given | {"entity_name": version.name, "entity_version": version.number}


def bearer(now: Config | None, name: str) -> str | None:
    """The entity beside the new one that has traffic; None where there is none.

    Raises:
        InputError: there are several, or entities that are no registered models.
    """
    if now is None:
        return None
    if now.foreign:
        found = f"{', '.join(now.foreign)} among what it serves"
        raise InputError("an endpoint of registered models", found, "Name another endpoint.")
    bearing = [other for other, share in now.shares.items() if share and other != name and other not in now.dead]
    if len(bearing) > 1:
        remedy = "Deploy one of the versions that it serves first: it then gets all of the traffic."
        raise InputError("an endpoint whose traffic goes to one version", str(now), remedy)
    return bearing[0] if bearing else None


def forward(now: Config | None, name: str, entity: dict[str, Any], canary: int) -> list[Config]:
    """The configs to go through, one after another: built without traffic, a canary's share, all of it, alone.

    The first is the one that an earlier run had reached, where it was cut off.
    """
    alone = Config({name: entity}, {name: 100}, capture=now.capture if now else {})
    if now is None:
        return [alone]
    others = {other: made for other, made in now.entities.items() if other != name and other not in now.dead}
    if not others:
        return [alone]
    old = bearer(now, name)
    share = now.shares.get(name, 0) if old else 100
    ladder = sorted({share, max(share, canary), 100})
    idle = {other: 0 for other in others if other != old}
    steps = [
        replace(alone, entities={**others, name: entity}, shares={**idle, **({old: 100 - each} if old else {}), name: each})
        for each in ladder
    ]
    return [*steps, alone]


def way_back(now: Config | None, name: str, entity: dict[str, Any]) -> Config | None:
    """What to go back to where the new version does not answer; None where nothing can be told or there is nothing else."""
    if now is None:
        return None
    others = {other: made for other, made in now.entities.items() if other != name and other not in now.dead}
    old = bearer(now, name) or (next(iter(others)) if len(others) == 1 else None)
    if old is not None:
        return replace(now, entities=others, shares={**dict.fromkeys(others, 0), old: 100}, dead=())
    changed = name in now.entities and name not in now.dead and not Config({name: entity}, {name: 100}).same(now)
    return now if changed and not others else None
