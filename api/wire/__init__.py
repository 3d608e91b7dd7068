"""What goes over the wire: marshmallow schemas, one file a subject."""
