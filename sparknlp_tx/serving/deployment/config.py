"""What an endpoint serves: its entities and their shares of the traffic, as Databricks writes them and takes them."""

import re
from dataclasses import dataclass, field
from typing import Any

from sparknlp_tx.tracking.registry import Version

KEPT = (  # what an entity is made from; the API also tells its creator and its state
    *("entity_name", "entity_version", "workload_size", "workload_type", "scale_to_zero_enabled", "environment_vars"),
    *("instance_profile_arn", "min_provisioned_concurrency", "max_provisioned_concurrency", "min_provisioned_throughput"),
    *("max_provisioned_throughput", "provisioned_model_units", "burst_scaling_enabled"),
)
CAPTURED = ("catalog_name", "schema_name", "table_name_prefix", "enabled")  # of legacy inference tables
DEFAULTS = {"workload_type": "CPU", "scale_to_zero_enabled": False}
DEAD = ("DEPLOYMENT_FAILED", "DEPLOYMENT_ABORTED")


@dataclass(frozen=True)
class Config:
    """Entities by their names in the endpoint, and each one's share.

    Attributes:
        entities: name to what it is made from, as the API takes it.
        shares: name to percent of the traffic, 100 in all; an entity may have 0.
        foreign: names of entities that are no registered models; dead: names of those whose build failed.
        capture: settings of legacy inference tables, which an update has to hand on.
    """

    entities: dict[str, dict[str, Any]]
    shares: dict[str, int]
    foreign: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    capture: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, config: dict[str, Any] | None) -> "Config | None":
        """From `config` or `pending_config` of an endpoint's description; None where nothing is in it."""
        found = (config or {}).get("served_entities") or (config or {}).get("served_models") or []
        if not found or config is None:
            return None
        entities, foreign, dead = {}, [], []
        for each in found:
            each = {"entity_name": each.get("model_name"), "entity_version": each.get("model_version")} | dict(each)
            entities[each["name"]] = _kept(each)
            if not (each.get("entity_name") and each.get("entity_version")):
                foreign.append(each["name"])
            if (each.get("state") or {}).get("deployment") in DEAD:
                dead.append(each["name"])
        routes = (config.get("traffic_config") or {}).get("routes") or []
        shares = {_routed(route): int(route["traffic_percentage"]) for route in routes}
        if not routes and len(entities) == 1:
            shares = dict.fromkeys(entities, 100)
        captured = config.get("auto_capture_config") or {}
        capture = {key: captured[key] for key in CAPTURED if captured.get(key) is not None}
        return cls(entities, {name: shares.get(name, 0) for name in entities}, tuple(foreign), tuple(dead), capture)

    def as_api(self) -> dict[str, Any]:
        """As creating and updating take it."""
        routes = [{"served_model_name": name, "traffic_percentage": share} for name, share in self.shares.items()]
        body = {
            "served_entities": [{"name": name, **entity} for name, entity in self.entities.items()],
            "traffic_config": {"routes": routes},
        }
        return body | ({"auto_capture_config": self.capture} if self.capture else {})

    def same(self, other: "Config | None") -> bool:
        """Whether both have the same entities, of the same size, with the same shares."""
        return other is not None and self._compared() == other._compared()

    def name_of(self, version: Version) -> str | None:
        """The name under which a version is served; None where it is not."""
        wanted = (version.name, version.number)
        return next((n for n, e in self.entities.items() if (e.get("entity_name"), e.get("entity_version")) == wanted), None)

    def __str__(self) -> str:
        return ", ".join(f"{name} {share} %" for name, share in self.shares.items())

    def _compared(self) -> dict[str, Any]:
        keys = [key for key in KEPT if key != "environment_vars"]
        return {
            name: (self.shares.get(name, 0), *(entity.get(key, DEFAULTS.get(key)) for key in keys))
            for name, entity in self.entities.items()
        }


def _kept(entity: dict[str, Any]) -> dict[str, Any]:
    kept = {key: entity[key] for key in KEPT if entity.get(key) is not None}
    if "workload_size" in kept:  # the API tells both, and takes one
        kept = {key: value for key, value in kept.items() if not key.endswith("_provisioned_concurrency")}
    return kept | ({"entity_version": str(kept["entity_version"])} if "entity_version" in kept else {})


def _routed(route: dict[str, Any]) -> str:
    return route.get("served_model_name") or route.get("served_entity_name") or ""


def entity_name(version: Version, now: Config | None) -> str:
    """A version's name in an endpoint: the one that it has there, else `tickets-3`; with its schema where that is another model's."""
    there = now.name_of(version) if now else None
    if there:
        return there
    taken = now.entities if now else {}
    short = _plain(f"{version.name.rpartition('.')[2]}-{version.number}")
    return short if short not in taken else _plain(f"{version.name}-{version.number}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)
