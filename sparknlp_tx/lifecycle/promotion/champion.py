"""Promotion and its way back: which version is the champion, moved by one write, logged, and told by the next run where it was cut off.

The order of the steps, so that a promotion that is killed between any two of them leaves the alias on one version:

1. the entry `begun` in the log, which expects a champion: of two promotions at once one gets it;
2. tags on the new version: report, data, the champion before it, the promotion's id;
3. the alias `champion`: one write; 4. it is read back;
5. the alias `previous`, for people's convenience: nothing rests on it;
6. the entry `done`.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparknlp_tx.errors import InputError, JobError, reason_of
from sparknlp_tx.lifecycle.promotion.log import Entry, PromotionLog, default_place
from sparknlp_tx.progress import say
from sparknlp_tx.tracking import registry
from sparknlp_tx.tracking.registry import Version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CHAMPION, PREVIOUS = "champion", "previous"  # aliases
LOG_TAG = "promotion_log"  # of the registered model: where its log is
PREVIOUS_TAG = "previous_champion"  # of a version: the number of the champion before it; empty where there was none


@dataclass
class Moved:
    """What a promotion or a rollback did.

    Attributes:
        model, version: which version is the champion now.
        previous: the champion before it; None where there was none.
        promotion_id: as in the log; None where the version was the champion already.
        log_table: the log.
        notes: what an earlier promotion had left, and what became of it; sentences.
    """

    model: str
    version: str
    previous: str | None
    promotion_id: str | None
    log_table: str
    notes: list[str] = field(default_factory=list)


def open_log(spark: "SparkSession", model: str, table: str | None, beside: str | None = None) -> PromotionLog:
    """The log of a model's promotions: the table that is given, else the one that the model's tag names, else the default place.

    Args:
        beside: a table beside which the log is to lie, where neither is there.

    Raises:
        InputError: another table is given than the one that has the model's log; or none can be told.
    """
    known = registry.model_tag(model, LOG_TAG)
    if known and table and _same_place(known, table) is False:
        raise InputError(
            f"the log of {model}, {known}", f"{table} (--log-table)", "Leave --log-table out: a model has one log."
        )
    if not (table or known) and beside is None and len(model.split(".")) != 3:
        raise InputError(
            f"a log of promotions of {model}", "none yet: nothing was promoted", "Promote first, or set the alias by hand."
        )
    return PromotionLog(spark, known or table or default_place(model, beside or ""), model)


def settle(log: PromotionLog) -> list[str]:
    """End what a killed promotion has left: it is finished where the alias was moved already, else abandoned. Sentences of what was done.

    Raises:
        InputError: a promotion is at work.
    """
    entry = log.unfinished()
    if entry is None:
        return []
    now = registry.aliased(log.model, CHAMPION)
    at = now.number if now else None
    if at == entry.version:
        _set_previous(log.model, entry.expected if entry.action == "promote" else _before(now))
        note = f"{entry} was cut off after it had moved the alias: version {at} is the champion, and the rest is done now."
        log.end(entry, "done", note)
    elif at == entry.expected:
        note = f"{entry} was cut off before it had moved the alias: version {at or 'none'} stays the champion."
        log.end(entry, "abandoned", note)
    else:
        note = f"{entry} was cut off, and the alias was moved since: version {at or 'none'} is the champion."
        log.end(entry, "abandoned", note)
    say(note)
    return [note]


def move(
    log: PromotionLog, action: str, expected: Version | None, target: Version, tags: dict[str, str], report: str | None = None
) -> Entry:
    """Make a version the champion, in the steps above.

    Args:
        expected: the champion that the decision rests on; None for none.
        tags: further tags of the new version.

    Raises:
        JobError: another promotion was first, the champion is not the one expected, or the registry failed; says what stands.
    """
    entry = log.begin(action, expected.number if expected else None, target.number, report)
    try:
        now = registry.aliased(log.model, CHAMPION)
        if (now and now.number) != (expected and expected.number):
            raise _Changed(
                f"the champion is version {now.number if now else 'none'} now, not {expected.number if expected else 'none'}"
            )
        registry.set_model_tag(log.model, LOG_TAG, log.name.path or log.name.text)
        if tags:
            registry.set_tags(target, {"promotion_id": entry.promotion_id, **tags})
        newest = log.newest()
        if newest is None or newest.promotion_id != entry.promotion_id:
            raise _Changed(f"{newest} took its place")
        registry.set_alias(target, CHAMPION)
        now = registry.aliased(log.model, CHAMPION)
        if now is None or now.number != target.number:
            raise _Changed(f"the alias names version {now.number if now else 'none'} after it was set to {target.number}")
        _set_previous(log.model, (expected.number if expected else None) if action == "promote" else _before(now))
        log.end(entry, "done")
    except _Changed as error:
        log.end(entry, "abandoned", str(error))
        raise JobError(f"Version {target.number} of {log.model} was not made the champion: {error}. Start again.") from None
    except JobError:
        raise
    except Exception as error:  # the registry's: what it did is not known
        what = f"The {action} of version {target.number} of {log.model} was cut off ({reason_of(error)})."
        raise JobError(f"{what} The next promote or rollback looks at the alias and says what stands.") from error
    return entry


class _Changed(Exception):
    """Something else moved in between."""


def roll_back(spark: "SparkSession", model: str, log_table: str | None = None) -> Moved:
    """Make the champion before the present one the champion again, by the present one's own tag.

    Raises:
        InputError: there is no such model, no champion, or none before it; or a promotion is at work.
        JobError: another promotion was first, or the registry failed.
    """
    log, now, target = plan_rollback(spark, model, log_table)
    notes = settle(log)
    entry = move(log, "rollback", now, target, {})
    return Moved(model, target.number, now.number, entry.promotion_id, log.name.text, notes)


def plan_rollback(spark: "SparkSession", model: str, log_table: str | None = None) -> tuple[PromotionLog, Version, Version]:
    """What `roll_back` would do, nothing is written: the log, the champion, the version that it goes back to."""
    registry.check_registered(model)
    now = registry.aliased(model, CHAMPION)
    if now is None:
        raise InputError(f"a champion of {model} to roll back from", f"no alias {CHAMPION!r}", "Promote a version first.")
    log = open_log(spark, model, log_table)
    log.unfinished()  # an error where one is at work
    before = _before(now)
    if before is None:
        found = f"no tag {PREVIOUS_TAG!r} on version {now.number}: it was the first, or was not promoted by this library"
        raise InputError(f"a champion before version {now.number} of {model}", found, "Promote the version that you want back.")
    target = registry.version_of(f"models:/{model}/{before}")
    assert target is not None  # its URI is one of a version
    return log, now, target


def _before(version: Version | None) -> str | None:
    """The number of the champion before a version, by the version's own tag."""
    return (version.tags.get(PREVIOUS_TAG) or None) if version else None


def _set_previous(model: str, number: str | None) -> None:
    """Have the alias `previous` name the version that a rollback would go to; nothing rests on it, so it fails nothing."""
    try:
        if number is None:
            if registry.aliased(model, PREVIOUS) is not None:
                registry.remove_alias(model, PREVIOUS)
        else:
            registry.set_alias(Version(model, number), PREVIOUS)
    except Exception as error:
        say(f"the alias {PREVIOUS!r} of {model} could not be set: {reason_of(error)}")


def _same_place(one: str, other: str) -> Any:
    from sparknlp_tx.spark.table_names import TableName

    first, second = TableName.parse(one), TableName.parse(other)
    return (first.path or first.parts) == (second.path or second.parts)
