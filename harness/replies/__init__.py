"""What a model's reply says, however untidily: finding calls in it, reading and fitting their arguments."""
