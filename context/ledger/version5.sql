-- Version 5: lessons of one task, which name its data and are shown to later runs of that very task only. `task` is the
-- fingerprint of its runs; empty: a lesson for all tasks of its modality.

alter table lesson add column task text not null default '';
create index lesson_by_task on lesson (task) where task <> '';
