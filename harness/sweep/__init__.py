"""Many runs: a table of runs, and engines that play it on one machine or on many."""
