"""Deploy: a version is built beside the one that serves, answers smoke rows, gets a canary's share, then all of the traffic.

Every step is one update of the endpoint's config, after which it is looked at until it serves that; what a run had reached stands in the
endpoint itself, so that one that was killed is gone on with. A failed build changes nothing: the config before it serves on.
"""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from sparknlp_tx.errors import InputError, JobError, nearest
from sparknlp_tx.progress import say
from sparknlp_tx.serving.deployment.config import Config, entity_name
from sparknlp_tx.serving.deployment.endpoint import CallError, Endpoint, in_progress, is_ready
from sparknlp_tx.serving.deployment.smoke import SmokeRows, smoke_rows
from sparknlp_tx.serving.deployment.steps import SIZES, TYPES, bearer, forward, made_from, way_back
from sparknlp_tx.tracking import registry
from sparknlp_tx.tracking.registry import Version


@dataclass
class DeployPlan:
    """A deployment that was checked: nothing was changed yet.

    Attributes:
        entity: the version's name in the endpoint.
        now: what is served; None for nothing. exists: whether there is such an endpoint. ready: whether it answers.
        joins: an update to this version is at work, of a run that was cut off; it is waited for, and the plan is made anew.
        steps: configs to go through; those that are reached already are not sent again.
        back: what to go back to; None where there is nothing.
    """

    version: Version
    endpoint: Endpoint
    entity: str
    rows: SmokeRows
    now: Config | None
    exists: bool
    ready: bool
    joins: bool
    steps: list[Config]
    back: Config | None
    timeout: float
    options: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What would be done, as a JSON object."""
        made = self.steps[-1].entities[self.entity]
        sizes = {key: value for key, value in made.items() if key != "environment_vars"}
        steps = [dict(step.shares) for step in self.steps if not (self.ready and step.same(self.now))]
        removed = sorted(set(self.now.entities if self.now else ()) - {self.entity})
        return {
            "model": self.version.name,
            "version": self.version.number,
            "endpoint": self.endpoint.name,
            "served_entity": self.entity,
            "creates": not self.exists,
            "serves_now": self.now.shares if self.now else {},
            "entity": sizes,
            "smoke_rows": self.rows.count,
            "traffic_steps": steps,
            "removes": removed,
            "joins_update": self.joins,
        }


@dataclass
class Deployed:
    """What `deploy` did.

    Attributes:
        created, changed: whether the endpoint was made; whether anything was sent but rows.
        previous: names of the entities that are no longer served.
    """

    model: str
    version: str
    endpoint: str
    served_entity: str
    created: bool
    changed: bool
    smoke_rows: int
    previous: list[str]


def deploy(**options: Any) -> Deployed:
    """Deploy a version: `plan_deploy`, then `run_deploy`; see there."""
    return run_deploy(plan_deploy(**options))


def plan_deploy(
    *,
    model: str,
    endpoint: str,
    workload_size: str | None = None,
    workload_type: str | None = None,
    scale_to_zero: bool | None = None,
    timeout_minutes: float = 60,
    smoke: str | None = None,
    canary_percent: int = 10,
    poll_seconds: float = 10,
) -> DeployPlan:
    """Check all that can be known; nothing is changed.

    Args:
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`; an alias is read once.
        workload_size, workload_type, scale_to_zero: None for those of the version that serves; without one `Small`, `CPU`, False.
        timeout_minutes: for all of it.
        smoke: a file of rows, see `smoke_rows`; None for the logged input example.
        canary_percent: of the traffic, before it gets all.
        poll_seconds: between two looks at an update.

    Raises:
        InputError: a flag's value, no such version, no smoke rows, a server that does not answer, or an endpoint that cannot take it.
    """
    _check_flags(endpoint, workload_size, workload_type, timeout_minutes, canary_percent)
    version = registry.version_of(model)
    if version is None:
        raise InputError("a registered version to deploy", repr(model), "Give models:/NAME@ALIAS or models:/NAME/VERSION.")
    rows = smoke_rows(version, smoke)
    asked = {"workload_size": workload_size, "workload_type": workload_type, "scale_to_zero_enabled": scale_to_zero}
    options = {"asked": asked, "canary": canary_percent}
    return _plan(version, Endpoint(endpoint, poll_seconds), rows, timeout_minutes * 60, options)


def _plan(version: Version, endpoint: Endpoint, rows: SmokeRows, timeout: float, options: dict[str, Any]) -> DeployPlan:
    try:
        found = endpoint.describe()
    except CallError as error:
        remedy = "Check DATABRICKS_HOST and the login (DATABRICKS_TOKEN), and that you may see the endpoint."
        raise InputError("a Databricks workspace that answers", str(error), remedy) from None
    now = Config.read(found.get("config")) if found else None
    pending = Config.read(found.get("pending_config")) if found else None
    joins = found is not None and in_progress(found)
    if joins and (pending is None or pending.name_of(version) is None):
        what = f"an update in progress, to {pending}" if pending else "an update in progress"
        remedy = "Wait until it has ended, or cancel it there, and start again; nothing was changed."
        raise InputError(f"an endpoint {endpoint.name} that is at rest", what, remedy)
    if found and found.get("route_optimized"):
        remedy = "Take an endpoint without route optimization: its smoke rows go by the workspace's address."
        raise InputError("an endpoint that is not route optimized", f"{endpoint.name}, which is", remedy)
    name = entity_name(version, now or pending)
    old = bearer(now, name)
    like = now.entities.get(name) or now.entities.get(old or "") or {} if now else {}
    made = made_from(version, like, options["asked"])
    steps, back = forward(now, name, made, options["canary"]), way_back(now, name, made)
    exists, ready = found is not None, bool(found and is_ready(found))
    return DeployPlan(version, endpoint, name, rows, now, exists, ready, joins, steps, back, timeout, options)


def _check_flags(endpoint: str, size: str | None, kind: str | None, minutes: float, canary: int) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?", endpoint) or endpoint.startswith("databricks-"):
        remedy = "Take letters, digits, '-' and '_', 63 at most; it does not begin with databricks-."
        raise InputError("a name of an endpoint", repr(endpoint), remedy)
    for flag, value, known in (("--workload-size", size, SIZES), ("--workload-type", kind, TYPES)):
        if value is not None and value not in known:
            raise InputError(f"a value for {flag}", repr(value), nearest(value, known))
    if not minutes > 0:
        raise InputError("minutes above 0 for --timeout-minutes", str(minutes), "Building takes some ten minutes.")
    if not 1 <= canary <= 100:
        raise InputError("1 to 100 for --canary-percent", str(canary), "100 gives all of the traffic at once.")


def run_deploy(plan: DeployPlan) -> Deployed:
    """Go through the steps; on smoke rows that are not answered go back.

    Raises:
        InputError: an update of somebody else's began in the meantime; nothing was changed.
        JobError: a build failed, the time was over, or smoke rows were not answered; says what serves now.
    """
    until = time.monotonic() + plan.timeout
    changed = plan.joins
    if plan.joins:
        say(f"an update of {plan.endpoint.name} to {plan.entity} is in progress: it is waited for")
        try:
            plan.endpoint.wait_for_any(until)
        except JobError as error:
            raise JobError(f"{error}. {plan.endpoint.serves()}") from None
        plan = _plan(plan.version, plan.endpoint, plan.rows, plan.timeout, plan.options)
        if plan.joins:
            raise InputError(f"an endpoint {plan.endpoint.name} that is at rest", "one update after another", "Start again.")
    reached, exists = plan.now if plan.ready else None, plan.exists
    for step in plan.steps:
        if not step.same(reached):
            say(f"{plan.endpoint.name}: {step}")
            _apply(plan, step, exists, changed, until)
            changed, exists, reached = True, True, step
        last = len(plan.steps) > 1 and step is plan.steps[-1]  # the old one goes; all traffic was the new one's before
        if not last and (failure := plan.rows.failure(plan.endpoint, None if step.shares[plan.entity] == 100 else plan.entity)):
            raise _gone_back(plan, failure, reached)
    previous = sorted(set(plan.now.entities if plan.now else ()) - {plan.entity})
    created = not plan.exists
    version = plan.version
    return Deployed(version.name, version.number, plan.endpoint.name, plan.entity, created, changed, plan.rows.count, previous)


def _apply(plan: DeployPlan, step: Config, exists: bool, changed: bool, until: float) -> None:
    """Send a config and wait until it serves."""
    endpoint = plan.endpoint
    try:
        endpoint.update(step) if exists else endpoint.create(step)
    except CallError as error:
        if not _taken(endpoint, step):
            if error.status == 409 and not changed:
                remedy = "Wait until it has ended and start again; nothing was changed."
                raise InputError(f"an endpoint {endpoint.name} that is at rest", "an update in progress", remedy) from None
            raise JobError(f"Databricks did not take {step} for {endpoint.name} ({error}). {endpoint.serves()}") from None
    try:
        endpoint.wait(step, until)
    except JobError as error:
        what = f"{endpoint.name} did not come to serve {step}: {error}."
        remedy = f"The log of the build is that of {plan.entity} on the endpoint's page. Start again to go on."
        raise JobError(f"{what} {endpoint.serves()} {remedy}") from None


def _taken(endpoint: Endpoint, step: Config) -> bool:
    """Whether a config was taken though the answer to it was lost."""
    try:
        found = endpoint.describe() or {}
    except CallError:
        return False
    return step.same(Config.read(found.get("pending_config"))) or step.same(Config.read(found.get("config")))


def _gone_back(plan: DeployPlan, failure: str, reached: Config | None) -> JobError:
    """Go back to what served before; the error that tells of it."""
    what = f"{plan.entity} did not answer the {plan.rows.count} smoke rows as it should ({failure})."
    if plan.back is None or plan.back.same(reached):
        return JobError(f"{what} There is no version before it to go back to. {plan.endpoint.serves()}")
    say(f"{what} Going back to {plan.back}")
    try:
        plan.endpoint.update(plan.back)
        plan.endpoint.wait(plan.back, time.monotonic() + plan.timeout)
    except (CallError, JobError) as error:
        return JobError(f"{what} Going back to {plan.back} failed ({error}). {plan.endpoint.serves()}")
    return JobError(f"{what} It was switched back. {plan.endpoint.serves()}")
