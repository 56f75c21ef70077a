"""The syntaxes in which open models write a tool call into their text, one module per family, and their registry."""
