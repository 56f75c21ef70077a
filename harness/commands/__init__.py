"""What the short commands do, those that play no run: doctor, tasks, runs, show, score, report, prepare, submit."""
