"""The client of a chat endpoint: profiles, probe, requests, streams, retries, errors."""
