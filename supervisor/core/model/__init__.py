"""The model: specification, events, actions, causes and documents.  It imports no other room."""
