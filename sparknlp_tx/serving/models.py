"""The models that a server has: which one answers a request, and how another version takes over.

A version is swapped by setting one reference. Requests that have begun keep the version they began with.
"""

import hashlib
import itertools
import logging
import threading
from collections.abc import Callable

from sparknlp_tx.errors import InputError
from sparknlp_tx.serving.served_model import ServedModel, Source, find, load
from sparknlp_tx.serving.settings import ServerSettings

log = logging.getLogger(__name__)
MAIN, SHADOW = "main", "shadow"


class Models:
    """The models by role: `main`, each alias of `--traffic`, `shadow`.

    Args:
        uri: a folder or an MLflow URI; `models:/NAME@alias` for aliases of traffic and shadow.

    Raises:
        InputError: a model cannot be found, loaded or scored with.
    """

    def __init__(self, uri: str, settings: ServerSettings):
        self._settings = settings
        name = uri.partition("@")[0]
        if (settings.traffic or settings.shadow) and "@" not in uri:
            raise InputError("models:/NAME@ALIAS, for --traffic and --shadow", uri, "Give the model by an alias.")
        uris = {alias: f"{name}@{alias}" for alias in settings.traffic} or {MAIN: uri}
        if settings.shadow:
            uris[SHADOW] = f"{name}@{settings.shadow}"
        self._uris = uris
        sources = {role: find(each) for role, each in uris.items()}  # each is there before any is fetched
        self._models: dict[str, ServedModel] = {}
        for role, source in sources.items():
            self._models[role] = self._load(source)
        self._check_alike()
        self.failed: dict[str, str] = {}  # by role: the version that did not load
        self.reloaded: Callable[[str, bool], None] = lambda role, done: None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def versions(self) -> dict[str, str]:
        """The versions that serve, by role."""
        return {role: model.version for role, model in self._models.items()}

    def by_role(self, role: str) -> ServedModel | None:
        return self._models.get(role)

    def one_for(self, key: str) -> ServedModel:
        """The model that answers a request: by chance of its key, so that the same key has the same model."""
        if not self._settings.traffic:
            return self._models[MAIN]
        digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
        place = int.from_bytes(digest, "big") % 100
        bounds = itertools.accumulate(self._settings.traffic.values())
        return self._models[next(alias for alias, bound in zip(self._settings.traffic, bounds, strict=True) if place < bound)]

    def watch(self) -> None:
        """Begin to look at the aliases from time to time."""
        if self._settings.poll_seconds and any("@" in uri for uri in self._uris.values()):
            self._thread = threading.Thread(target=self._watch, name="reload", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._settings.poll_seconds):
            for role in self._uris:
                self.refresh(role)

    def refresh(self, role: str) -> None:
        """Have a role's newest version serve, if it is another one and can be loaded. A registry that does not answer changes nothing."""
        try:
            source = find(self._uris[role])
        except Exception as error:
            log.warning(
                "The registry does not answer; version %s goes on serving: %s", self._models[role].version, _line(error)
            )
            return
        if source.version == self._models[role].version:
            self.failed.pop(role, None)
            return
        if self.failed.get(role) == source.version:
            return  # its files are what they were
        try:
            model = self._load(source)
            self._check_alike({**self._models, role: model})
        except Exception as error:
            if isinstance(error, InputError):
                self.failed[role] = source.version  # anything else may go better the next time
            log.warning("%s does not load; %s goes on serving: %s", source.version, self._models[role].version, _line(error))
            self.reloaded(role, False)
            return
        log.info("%s serves in place of %s", model.version, self._models[role].version)
        self._models[role] = model  # the one write; requests that have begun hold the old one
        self.failed.pop(role, None)
        self.reloaded(role, True)

    def _load(self, source: Source) -> ServedModel:
        for model in self._models.values():
            if model.version == source.version:
                return model  # two aliases of one version
        return load(source, self._settings.threads, device=self._settings.device, precision=self._settings.precision)

    def _check_alike(self, models: dict[str, ServedModel] | None = None) -> None:
        """Raise InputError where models of several roles take other columns."""
        names = {model.names for model in (models or self._models).values()}
        if len(names) > 1:
            found = "; ".join(", ".join(each) for each in sorted(names))
            raise InputError("models of the same text columns", found, "Serve them apart.")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
