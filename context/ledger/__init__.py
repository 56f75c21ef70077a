"""The ledger: lessons that outlive a run, with the evidence for and against them."""
