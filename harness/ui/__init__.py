"""The live panel and the text formats of the terminal."""
