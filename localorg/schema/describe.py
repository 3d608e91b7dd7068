"""Describe answers: what the org says about its objects and fields.

The shapes are those of the REST API guide, "Describe Global" and "sObject Describe". Clients build forms, CSV headers
and typed classes from these, so every key of the platform's answer is there; keys about features the org does not have
say so (false, null, or empty).
"""

from __future__ import annotations

from typing import Any

from localorg.schema.model import ChildRelationship, Field, Schema, SObject

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
}
_TEXT = frozenset({"string", "textarea", "picklist", "multipicklist", "email", "phone", "url"})
_AUTO_NUMBERS = frozenset({"QuoteNumber", "LineNumber"})


def describe_global(schema: Schema, version: str) -> dict[str, Any]:
    """Return the answer of `GET sobjects`: every object in short."""
    objects = [_summary(each, version) for each in sorted(schema.objects.values(), key=lambda each: each.name)]
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects}


def basic_information(sobject: SObject, version: str, recent: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of `GET sobjects/T`: the object in short, and some of its rows."""
    return {"objectDescribe": _summary(sobject, version), "recentItems": recent}


def describe(sobject: SObject, version: str) -> dict[str, Any]:
    """Return the answer of `GET sobjects/T/describe`: the object in full."""
    return {
        "actionOverrides": [],
        "childRelationships": [_child(each) for each in sobject.children],
        "compactLayoutable": True,
        **_summary(sobject, version),
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [_field(each, sobject) for each in sobject.fields],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [_master_record_type(sobject, version)],
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": _scopes(sobject),
        "urls": {**_urls(sobject, version), **_more_urls(sobject, version)},
    }


def _summary(sobject: SObject, version: str) -> dict[str, Any]:
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": sobject.createable,
        "custom": sobject.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": sobject.deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": sobject.key_prefix,
        "label": sobject.label,
        "labelPlural": sobject.label_plural,
        "layoutable": True,
        "mergeable": False,
        "mruEnabled": True,
        "name": sobject.name,
        "queryable": sobject.queryable,
        "replicateable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": sobject.undeletable,
        "updateable": sobject.updateable,
        "urls": _urls(sobject, version),
    }


def _urls(sobject: SObject, version: str) -> dict[str, str]:
    base = f"/services/data/v{version}/sobjects/{sobject.name}"
    return {"rowTemplate": f"{base}/{{ID}}", "describe": f"{base}/describe", "sobject": base}


def _more_urls(sobject: SObject, version: str) -> dict[str, str]:
    base = f"/services/data/v{version}/sobjects/{sobject.name}"
    return {"layouts": f"{base}/describe/layouts", "compactLayouts": f"{base}/describe/compactLayouts"}


def _scopes(sobject: SObject) -> list[dict[str, str]]:
    """Return what may stand behind USING SCOPE: rows have to have an owner to be somebody's."""
    names = {"everything": "All", "mine": "My"} if sobject.field("OwnerId") else {"everything": "All"}
    return [{"label": f"{word} {sobject.label_plural.lower()}", "name": name} for name, word in names.items()]


def _master_record_type(sobject: SObject, version: str) -> dict[str, Any]:
    master = "012000000000000AAA"
    url = f"/services/data/v{version}/sobjects/{sobject.name}/describe/layouts/{master}"
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": master,
        "urls": {"layout": url},
    }


def _child(relationship: ChildRelationship) -> dict[str, Any]:
    return {
        "cascadeDelete": relationship.cascade_delete,
        "childSObject": relationship.child,
        "deprecatedAndHidden": False,
        "field": relationship.field,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": relationship.name,
        "restrictedDelete": False,
    }


def _field(field: Field, sobject: SObject) -> dict[str, Any]:
    return {
        **_flags(field, sobject),
        **_sizes(field),
        **_relations(field),
        "calculatedFormula": None,
        "compoundFieldName": "Name" if (sobject.name, field.name) in _NAME_PARTS else None,
        "controllerName": None,
        "defaultValue": field.default if field.type == "boolean" else None,
        "defaultValueFormula": None,
        "extraTypeInfo": "plaintextarea" if field.type == "textarea" else None,
        "filteredLookupInfo": None,
        "inlineHelpText": None,
        "label": field.label,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "picklistValues": [_picklist_value(value, field) for value in field.picklist],
        "soapType": _SOAP_TYPES.get(field.type, "xsd:string"),
        "type": field.type,
    }


_NAME_PARTS = {("User", "FirstName"), ("User", "LastName")}


def _flags(field: Field, sobject: SObject) -> dict[str, bool]:
    """Return the yes-or-no properties of a field."""
    return {
        "aggregatable": field.aggregatable,
        "aiPredictionField": False,
        "autoNumber": bool(field.numbered) or field.name in _AUTO_NUMBERS,
        # On the platform "calculated" means a formula field. Computed standard fields are only not writable.
        "calculated": False,
        "caseSensitive": field.case_sensitive,
        "createable": field.createable,
        "custom": field.custom,
        "defaultedOnCreate": field.defaulted,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": field.external_id,
        "filterable": field.filterable,
        "formulaTreatNullNumberAsZero": False,
        "groupable": field.groupable,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.id_lookup,
        "nameField": field.name == _name_field(sobject),
        "namePointing": False,
        "nillable": field.nillable,
        "permissionable": field.nillable and (field.createable or field.updateable),
        "polymorphicForeignKey": False,
        "queryByDistance": False,
        "restrictedPicklist": field.restricted,
        "searchPrefilterable": field.type == "reference",
        "sortable": field.sortable,
        "unique": field.unique,
        "updateable": field.updateable,
    }


def _name_field(sobject: SObject) -> str | None:
    """Return the field that names a row in lists."""
    names = [field.name for field in sobject.fields]
    return next((name for name in ("Name", "LineNumber") if name in names), None)


def _sizes(field: Field) -> dict[str, int]:
    """Return length in characters, byteLength in UTF-8, digits of int fields, precision and scale of other numbers."""
    length = field.length
    return {
        "byteLength": length if field.type in ("id", "reference") else 3 * length if field.type in _TEXT else 0,
        "digits": 9 if field.type == "int" else 0,
        "length": length,
        "precision": field.precision,
        "scale": field.scale,
    }


def _relations(field: Field) -> dict[str, Any]:
    return {
        "cascadeDelete": field.cascade_delete,
        "referenceTargetField": None,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship_name,
        "relationshipOrder": 0 if field.cascade_delete else None,
        "restrictedDelete": False,
        "writeRequiresMasterRead": False,
    }


def _picklist_value(value: str, field: Field) -> dict[str, Any]:
    is_default = value == field.default
    return {"active": True, "defaultValue": is_default, "label": value, "validFor": None, "value": value}
