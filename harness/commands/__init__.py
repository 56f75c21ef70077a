"""Commands that start no run: doctor, tasks, runs, show, score, report, prepare, submit."""
