"""Live control: requests to a run from other processes, through files in its inbox."""
