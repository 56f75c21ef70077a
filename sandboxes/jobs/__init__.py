"""Jobs: commands that run under a supervisor and outlive the harness."""
