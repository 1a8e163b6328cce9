"""API keys: made, kept as a slow hash only, and known again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cachetools import LRUCache

from es_reasonrank.errors import SettingsError
from es_reasonrank.service_settings import ApiKey, Scope

MAKE = "make a key with `es-reasonrank keys new NAME` and put what it prints under service.api_keys"
"""What an error tells to do."""

_FORM = re.compile(r"scrypt:(?P<id>[0-9a-f]{8}):(?P<salt>[\w-]{22}):(?P<digest>[\w-]{43})", re.ASCII)
_COST = 2**14
_REMEMBERED = 10_000


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    name: str
    """The key's name; empty in local use."""
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class NewKey:
    """A key that was just made. It is shown once; what is kept is its hash."""

    key: str
    hash: str


def new_key() -> NewKey:
    """A key of 256 random bits, behind an id that tells which hash is its."""
    name, salt = secrets.token_hex(4), secrets.token_bytes(16)
    key = f"esr_{name}_{secrets.token_urlsafe(32)}"
    return NewKey(key, f"scrypt:{name}:{_base64(salt)}:{_base64(_scrypt(key, salt))}")


class Keyring:
    """The keys that are known.

    A key is hashed when it is first shown; then a keyed digest of it, made with a secret of this process, remembers
    what came of it.

    Raises:
        SettingsError: a hash is none that `es-reasonrank keys new` prints, or two keys have the same name or id.
    """

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys: dict[str, tuple[ApiKey, bytes, bytes]] = {}
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, Caller] = {}
        self._wrong: LRUCache[bytes, bool] = LRUCache(_REMEMBERED)
        self._hashing = asyncio.Lock()
        for key in keys:
            form = _FORM.fullmatch(key.hash)
            if form is None:
                raise SettingsError(f"service.api_keys: the hash of {key.name!r} is not one that is known; {MAKE}")
            if form["id"] in self._keys or key.name in (other.name for other, _, _ in self._keys.values()):
                raise SettingsError(f"service.api_keys: key {key.name!r} stands there twice; take one out")
            self._keys[form["id"]] = (key, _bytes(form["salt"]), _bytes(form["digest"]))

    def __bool__(self) -> bool:
        return bool(self._keys)

    async def caller(self, shown: str) -> Caller | None:
        """Whose key it is; None where it is nobody's."""
        prefix, _, rest = shown.partition("_")
        found = self._keys.get(rest.partition("_")[0]) if prefix == "esr" else None
        if found is None:
            return None
        mark = hashlib.blake2b(shown.encode(), key=self._secret).digest()
        if mark not in self._right and mark not in self._wrong:
            key, salt, digest = found
            # One at a time: who tries keys waits for himself, and takes no more than one core.
            async with self._hashing:
                hashed = await asyncio.to_thread(_scrypt, shown, salt)
            if hmac.compare_digest(hashed, digest):
                self._right[mark] = Caller(key.name, frozenset(key.scopes))
            else:
                self._wrong[mark] = True
        return self._right.get(mark)


@lru_cache(maxsize=8)
def keyring(keys: tuple[ApiKey, ...]) -> Keyring:
    """The one keyring of these settings.

    Raises:
        SettingsError: as `Keyring`.
    """
    return Keyring(keys)


def _scrypt(key: str, salt: bytes) -> bytes:
    return hashlib.scrypt(key.encode(), salt=salt, n=_COST, r=8, p=1, dklen=32)


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
