"""The demo model's head and hands: how it reads a conversation, what it knows to try, and what it says.

Nothing heavy is imported here, so that settings and the command line can name the demo model at no cost.
"""

DEMO_MODEL = "demo-model-not-an-llm"
"""The model's name on the wire."""

DEMO_LABEL = "demo model, not an LLM"
"""What people read wherever the demo model shows."""

DEMO_BASE_URL = "http://demo-model.invalid/v1"
"""The address given to the client; no request to it ever leaves the process."""
