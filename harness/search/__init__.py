"""Search: choose what each attempt does and which commits it starts from."""
