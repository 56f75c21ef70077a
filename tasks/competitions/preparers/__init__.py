"""How each competition is prepared, grouped by what its data are."""
