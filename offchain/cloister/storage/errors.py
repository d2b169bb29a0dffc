"""What can go wrong with blobs, key files and passwords."""

from __future__ import annotations

from cloister.domain.errors import CloisterError


class StorageError(CloisterError):
    """Something on a disk or in a store is missing, damaged or out of reach."""


class StoreNotAllowed(StorageError):
    """The address of a blob store is malformed, of a kind that is not allowed, or needs a missing package."""


class StoreReadOnly(StorageError):
    """This kind of store can be read but not written."""


class StoreFull(StorageError):
    """There is no room left, or a quota is used up. Nothing was written."""


class StoreUnavailable(StorageError):
    """A store or folder does not answer, or refuses access. Trying again later may help."""


class BlobMissing(StorageError):
    """No store has this blob."""


class BlobTooLarge(StorageError):
    """A blob is longer than its reader accepts."""


class BlobCorrupt(StorageError):
    """What is stored under a blob id does not have that hash."""


class KeyfileMissing(StorageError):
    """No key file fits the address, name or epoch."""


class KeyfileAmbiguous(StorageError):
    """Several key files fit."""


class KeyfileExists(StorageError):
    """A key file would be overwritten. That never happens."""


class KeyfileCorrupt(StorageError):
    """A key file is not a keystore of version 3, or holds another key than it says."""


class WrongPassword(StorageError):
    """A key file does not open with this password."""


class PasswordUnavailable(StorageError):
    """A password can be read neither from the file named nor from a terminal."""
