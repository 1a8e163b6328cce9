"""Every error the project raises, in one tree.

    ReasonRankError                 1  anything below
      + InputError                  2  what the caller gave is wrong
      |   + SettingsError              a key or a value in settings, a profile or a template
      |   + DataError                  a line of a file (documents, queries, run, qrels)
      |   + SearchError                a query, an index or a field that the server does not accept
      + MissingError                3  something needed is not there: an extra, Java, a model, a server's address
      + ServiceError                6  a server or a model failed
      |   + ElasticError               Elasticsearch: unreachable, unauthorised, overloaded
      |   + EngineError                the engine that generates tokens
      + PartialError                7  the work ended, but not for every item

The number is the exit code of the command line. Each message is one sentence that says what is wrong, where,
and what to do.
"""

from __future__ import annotations


class ReasonRankError(Exception):
    """Base of the tree: catch this one to catch them all."""

    exit_code = 1


class InputError(ReasonRankError):
    """What the caller gave is wrong; trying again with the same input gives the same error."""

    exit_code = 2


class SettingsError(InputError):
    """A key or a value in settings, a profile or a template is wrong."""


class DataError(InputError):
    """A file's content is wrong.

    Attributes:
        path: the file.
        line: the line's number, from 1, or None where the file as a whole is meant.
    """

    def __init__(self, message: str, *, path: str, line: int | None = None) -> None:
        where = path if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {message}")
        self.path = path
        self.line = line


class SearchError(InputError):
    """Elasticsearch does not accept the search: unknown index or field, closed index, malformed query.

    Attributes:
        index: the index, pattern or alias that was searched.
        status: the server's HTTP status, or None where the request was not sent.
    """

    def __init__(self, message: str, *, index: str, status: int | None = None) -> None:
        super().__init__(message)
        self.index = index
        self.status = status


class MissingError(ReasonRankError):
    """Something needed is not there; the message says how to get it."""

    exit_code = 3


class ServiceError(ReasonRankError):
    """A server or a model failed; trying again later may help."""

    exit_code = 6


class ElasticError(ServiceError):
    """Elasticsearch failed.

    Attributes:
        status: the server's HTTP status, or None where it gave no answer.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EngineError(ServiceError):
    """The engine failed to generate. Its text is never read as an answer.

    Attributes:
        engine: the engine's name.
        retryable: whether the same request may succeed later.
    """

    def __init__(self, message: str, *, engine: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.engine = engine
        self.retryable = retryable


class PartialError(ReasonRankError):
    """The work ended, but not for every item; what was done is kept.

    Attributes:
        failed: how many items failed.
        total: how many items there were.
    """

    exit_code = 7

    def __init__(self, message: str, *, failed: int, total: int) -> None:
        super().__init__(message)
        self.failed = failed
        self.total = total
