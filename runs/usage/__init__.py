"""What a run used: tokens, dollars, and how well the prompt cache worked."""
