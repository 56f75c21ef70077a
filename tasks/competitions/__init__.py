"""The competitions of MLE-bench: facts, graders, preparers."""
