"""The Docker sandbox: containers, images, the daemon."""
