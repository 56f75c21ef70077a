"""Hold labelled rows out of the training data and mix them into the test rows."""
