"""What the pages say: facts of a run as plain data, made from its events."""
