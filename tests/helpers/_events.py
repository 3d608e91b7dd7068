"""An sfdx folder with platform events, for local orgs in tests."""

from __future__ import annotations

from pathlib import Path

_XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'


def event_folder(folder: Path) -> Path:
    """Writes the source of `Signal__e` (sent at once) and `Settled__e` (sent after the commit); gives the folder."""
    for name, behaviour in (("Signal__e", "PublishImmediately"), ("Settled__e", "PublishAfterCommit")):
        fields = folder / "objects" / name / "fields"
        fields.mkdir(parents=True)
        body = f"<publishBehavior>{behaviour}</publishBehavior><eventType>HighVolume</eventType>"
        _write(fields.parent / f"{name}.object-meta.xml", "CustomObject", f"<label>{name}</label>{body}")
        number = "<type>Number</type><precision>18</precision><scale>0</scale><required>true</required>"
        _write(fields / "Number__c.field-meta.xml", "CustomField", f"<fullName>Number__c</fullName>{number}")
        text = "<type>Text</type><length>80</length>"
        _write(fields / "Text__c.field-meta.xml", "CustomField", f"<fullName>Text__c</fullName>{text}")
    return folder


def _write(file: Path, kind: str, body: str) -> None:
    file.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} {_XMLNS}>{body}</{kind}>\n', "utf-8")
