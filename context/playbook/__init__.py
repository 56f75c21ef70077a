"""The playbook: the versioned prompts and working settings, and the trials that decide whether a change is kept."""
