"""Every error that PeerSky raises on purpose, each with a stable reason and a sentence that says what to do next.

::

    PeerSkyError
    ├── InvalidRequest        TypeError            a value has the wrong type or form; names the option
    ├── NotAllowed            NotAllowedError      disabled, not trusted, blocked by the user
    ├── NotSupported          NotSupportedError    the model, back end or file cannot do this
    │   └── ModelFileInvalid                       the model file is truncated, corrupt or no GGUF
    ├── NotFound              NotFoundError        no such page, path or key
    ├── QuotaExceeded         QuotaExceededError   context, budget, queue, memory, disk or body size
    │   ├── ContextExceeded                        the prompt is longer than the model's context
    │   ├── BodyTooLarge                           a request body is over the limit
    │   ├── DiskFull                               what a page sent has no room on the disk
    │   └── NotEnoughMemory                        the model does not fit into the memory that is free
    ├── BackendFailed         NetworkError         the model's server is unreachable or died in mid-answer
    ├── Cancelled             AbortError           the asker went away or pressed stop
    ├── SettingInvalid        TypeError            a setting's value is refused
    └── ProfileUnusable       NotReadableError     the profile directory is locked, read-only or full

Page JavaScript rebuilds the DOMException named in the middle column (``dom_name``) from :meth:`PeerSkyError.as_object`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar


class PeerSkyError(Exception):
    """Base of all errors that a person may see.

    Args:
        message: one plain sentence that a person can act on.
        reason: stable, documented identifier; apps may compare it. Defaults to the class's own.
        param: name of the option or setting at fault, if one is.
    """

    dom_name: ClassVar[str] = "OperationError"
    http_status: ClassVar[int] = 500
    openai_type: ClassVar[str] = "server_error"
    default_reason: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, reason: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.param = param

    def as_object(self) -> dict[str, Any]:
        """The error as OpenAI's error object, plus ``name``, which tells page JavaScript what to throw."""
        return {
            "message": self.message,
            "type": self.openai_type,
            "param": self.param,
            "code": self.reason,
            "name": self.dom_name,
        }


class InvalidRequest(PeerSkyError):
    """A value has the wrong type or form. ``param`` names the option."""

    dom_name = "TypeError"
    http_status = 400
    openai_type = "invalid_request_error"
    default_reason = "invalid_request"


class NotAllowed(PeerSkyError):
    """Refused: ``llm_disabled``, ``not_trusted``, ``blocked_by_user``, ``no_stamp``, ``declined``; by the model's
    service: ``refused_by_service``; because others could read it on its way: ``insecure_url``."""

    dom_name = "NotAllowedError"
    http_status = 403
    openai_type = "permission_error"
    default_reason = "not_trusted"


class NotSupported(PeerSkyError):
    """What was asked cannot be done by this model or back end (``capability_missing``, ``model_missing``)."""

    dom_name = "NotSupportedError"
    http_status = 501
    openai_type = "not_supported_error"
    default_reason = "capability_missing"


class ModelFileInvalid(NotSupported):
    """The model file is truncated, corrupt, or no GGUF."""

    http_status = 422
    default_reason = "model_file_invalid"


class NotFound(PeerSkyError):
    """No such page, path or key."""

    dom_name = "NotFoundError"
    http_status = 404
    openai_type = "not_found_error"
    default_reason = "not_found"


class QuotaExceeded(PeerSkyError):
    """More was asked than is left: ``budget``, ``queue_full``, ``disk_full``, ``tokens_per_minute``,
    ``tokens_per_day``; at the model's service ``credits`` and ``rate_limited``.

    Args:
        requested: what was asked for, in the unit of ``quota`` (tokens, bytes or requests).
        quota: what there is.
        retry_after_s: how long until there is room again, where that is known.
    """

    dom_name = "QuotaExceededError"
    http_status = 429
    openai_type = "quota_exceeded_error"
    default_reason = "budget"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        param: str | None = None,
        requested: int | None = None,
        quota: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, reason=reason, param=param)
        self.requested = requested
        self.quota = quota
        self.retry_after_s = retry_after_s

    def as_object(self) -> dict[str, Any]:
        told = {**super().as_object(), "requested": self.requested, "quota": self.quota}
        return told if self.retry_after_s is None else {**told, "retryAfter": math.ceil(self.retry_after_s)}


class ContextExceeded(QuotaExceeded):
    """The prompt is longer than the model's context; ``requested`` and ``quota`` in tokens."""

    http_status = 400
    default_reason = "context_length"


class BodyTooLarge(QuotaExceeded):
    """A request body over the direct limit; ``requested`` and ``quota`` in bytes."""

    http_status = 413
    default_reason = "body_too_large"


class DiskFull(QuotaExceeded):
    """What a page sent has no room on the disk."""

    http_status = 507
    default_reason = "disk_full"


class NotEnoughMemory(QuotaExceeded):
    """The model does not fit into the memory that is free; ``requested`` and ``quota`` in bytes."""

    http_status = 507
    default_reason = "not_enough_memory"


class BackendFailed(PeerSkyError):
    """The model's server is unreachable, refused the key, or died in mid-answer.

    Reasons: ``unreachable``, ``interrupted`` (died in mid-answer), ``crash_loop``, ``backend_error``, ``key_refused``,
    ``key_missing``.
    """

    dom_name = "NetworkError"
    http_status = 502
    openai_type = "backend_error"
    default_reason = "unreachable"


class Cancelled(PeerSkyError):
    """The asker went away, or somebody pressed stop."""

    dom_name = "AbortError"
    http_status = 499
    openai_type = "cancelled"
    default_reason = "cancelled"


class SettingInvalid(PeerSkyError):
    """A setting's value is refused; ``param`` is its key."""

    dom_name = "TypeError"
    http_status = 400
    openai_type = "invalid_request_error"
    default_reason = "setting_invalid"


class ProfileUnusable(PeerSkyError):
    """The profile directory is locked by another process, read-only or full."""

    dom_name = "NotReadableError"
    http_status = 503
    default_reason = "profile_unusable"
