"""The demo model: a scripted model that plays a run without a key or a server. It is not an LLM.

Nothing heavy is imported here, so that settings and the command line can name the demo model at no cost.
"""

DEMO_MODEL = "demo-model-not-an-llm"
"""The model name in requests."""

DEMO_LABEL = "demo model, not an LLM"
"""The name shown to people."""

DEMO_BASE_URL = "http://demo-model.invalid/v1"
"""The address given to the client. No request to it leaves the process."""
