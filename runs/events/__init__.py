"""Every kind of event that a journal line can hold."""
