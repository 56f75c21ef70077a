"""The competitions of MLE-bench: facts, preparation, graders."""
