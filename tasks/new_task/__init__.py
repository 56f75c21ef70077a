"""Make a task from what people have: a table, a folder of images, train, test and sample tables, a live competition."""

from tasks.new_task.make import make_task
from tasks.new_task.request import CreatedTask, Findings, TaskRequest

__all__ = ["CreatedTask", "Findings", "TaskRequest", "make_task"]
