"""The example tasks that come with the harness, and the reference models behind their leaderboards."""
