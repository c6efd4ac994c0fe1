"""What stores are known to do, as faults: overloaded, full, elsewhere, without conditions, tired of a key."""

from __future__ import annotations

from xml.sax.saxutils import escape

from plan import Answer, Fault

RESET = Fault("reset", reset="before")
LOST = Fault("answer lost", reset="after")
UNCONDITIONAL = Fault("condition ignored", unconditional=True)


def late(seconds: float) -> Fault:
    """The store takes its time."""
    return Fault(f"{seconds} s late", delay=seconds)


def refused(status: int, code: str, message: str, **fields: str) -> Fault:
    """An error document, as S3 and Google write it; Azure's has the same elements and a header."""
    elements = {"Code": code, "Message": message} | fields | {"RequestId": "4442587FB7D0A2F9"}
    inside = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
    headers = {"Content-Type": "application/xml", "x-ms-error-code": code}
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error>{inside}</Error>'
    return Fault(f"{status} {code}", Answer(status, body.encode(), headers))


SLOW_DOWN = refused(503, "SlowDown", "Please reduce your request rate.")
INTERNAL = refused(500, "InternalError", "We encountered an internal error. Please try again.")
FULL = refused(507, "InsufficientStorage", "There is not enough space left.")
DENIED = refused(403, "AccessDenied", "Access Denied")
EXPIRED = refused(400, "ExpiredToken", "The provided token has expired.")
UNAUTHENTICATED = refused(401, "AuthenticationRequired", "Authentication required.")
NO_CONDITIONS = refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented.")
MOVED = refused(
    301,
    "PermanentRedirect",
    "The bucket you are attempting to access must be addressed using the specified endpoint.",
    Endpoint="lake.s3.us-west-2.amazonaws.com",
    Bucket="lake",
)
"""Another region, without a `Location`: what S3 answers to whoever asks the wrong one's endpoint."""
WRONG_REGION = refused(
    400,
    "AuthorizationHeaderMalformed",
    "The authorization header is malformed; the region 'eu-central-1' is wrong; expecting 'us-west-2'",
    Region="us-west-2",
)
"""Another region: what S3 answers to whoever has signed for the wrong one."""
