"""How attempts are judged: held-out rows and folds, verdicts, the choice of the submission of record, the finale."""
