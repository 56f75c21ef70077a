"""The Docker sandbox: containers, images and requests to the daemon."""
