"""When the window is shortened, and what replaces the turns that leave it."""
