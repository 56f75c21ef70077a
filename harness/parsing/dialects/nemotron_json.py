"""Nemotron Nano v2: `<TOOLCALL>[{"name": ..., "arguments": ...}]</TOOLCALL>`; the brackets may be missing. Source: the
tool parser plugin on its model card."""

from __future__ import annotations

import re

from harness.parsing.dialects.json_objects import JsonInMarks

DIALECTS = (JsonInMarks("nemotron_json", ("<TOOLCALL>",), re.compile(r"<TOOLCALL>"), "</TOOLCALL>"),)
