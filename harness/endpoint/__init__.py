"""What is known of one endpoint, and how bytes go to it and come back: profiles, probe, requests, streams, errors."""
