"""Find label leaks in the data of a task and in the code of a solution."""
