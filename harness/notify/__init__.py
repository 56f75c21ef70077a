"""Tell a person who does not watch what happens in a run."""
