"""Answers of Google Cloud Storage's XML API, and the documents in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

from gcs_objects import RefusedError

NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"


@dataclass
class Answer:
    """What comes of it."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def timestamp(time: datetime) -> str:
    """A time as lists write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def element(name: str, text: object = None, **children: object) -> str:
    """One element of a document, with text or with children."""
    inside = "".join(element(child, value) for child, value in children.items()) if text is None else escape(str(text))
    return f"<{name}>{inside}</{name}>"


def document(name: str, children: str = "", **fields: object) -> Answer:
    """A whole XML document."""
    inside = "".join(element(field, value) for field, value in fields.items()) + children
    body = f"<?xml version='1.0' encoding='UTF-8'?><{name} xmlns='{NAMESPACE}'>{inside}</{name}>"
    return Answer(200, {"Content-Type": "application/xml; charset=UTF-8"}, body.encode())


def error(refused: RefusedError) -> Answer:
    """The error document."""
    fields = {"Code": refused.code, "Message": refused.message}
    if refused.details:
        fields["Details"] = refused.details
    body = f"<?xml version='1.0' encoding='UTF-8'?>{element('Error', **fields)}"
    return Answer(refused.status, {"Content-Type": "application/xml; charset=UTF-8"}, body.encode())
