"""When and how the window is made smaller."""
