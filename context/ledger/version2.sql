-- Version 2: what a lesson asks of a task (facts about its target, metric and tables, joined by spaces).

alter table action add column needs text not null default '';
alter table lesson add column needs text not null default '';
create index lesson_by_needs on lesson (needs);
