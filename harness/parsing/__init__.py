"""From a reply, however untidy, to tool calls."""
