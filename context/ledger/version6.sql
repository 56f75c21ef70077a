-- Version 6: counts of evidence per lesson and per lesson and family, keyed by numbers, so that lessons are chosen by
-- one pass over small rows, with or without the evidence of the pack or of a family. They replace `tally` and `total`.
-- Kept by triggers from the views; `verify` compares the two.

drop trigger evidence_counted;
drop trigger evidence_added_up;
drop table total;
drop table tally;
drop index lesson_by_modality;
create index lesson_by_modality on lesson (modality, state, task, polarity, needs);

-- `prior_`: from imports and packs. `pack_`: from packs. `all_`: over all modalities.
create view counted_lesson as
select lesson.id as lesson, lesson.action as action,
  ifnull(sum(evidence.modality = lesson.modality and outcome = 'gain'), 0) as gains,
  ifnull(sum(evidence.modality = lesson.modality and outcome = 'against'), 0) as against,
  ifnull(sum(evidence.modality = lesson.modality and outcome = 'dry'), 0) as dry,
  ifnull(sum(evidence.modality = lesson.modality and outcome = 'gain' and evidence.source <> 'run'), 0) as prior_gains,
  ifnull(sum(evidence.modality = lesson.modality and outcome = 'against' and evidence.source <> 'run'), 0)
    as prior_against,
  ifnull(sum(evidence.modality = lesson.modality and outcome = 'gain' and evidence.source = 'pack'), 0) as pack_gains,
  ifnull(sum(evidence.modality = lesson.modality and outcome = 'against' and evidence.source = 'pack'), 0)
    as pack_against,
  ifnull(sum(outcome = 'gain'), 0) as all_gains,
  count(evidence.id) as all_tried,
  ifnull(sum(outcome = 'gain' and evidence.source = 'pack'), 0) as all_pack_gains,
  ifnull(sum(evidence.source = 'pack'), 0) as all_pack_tried
from lesson left join evidence on evidence.action = lesson.action
group by lesson.id, lesson.action;

create view counted_family as
select evidence.family as family, lesson.id as lesson, lesson.action as action,
  sum(outcome = 'gain') as gains,
  sum(outcome = 'against') as against,
  sum(outcome = 'dry') as dry,
  sum(outcome = 'gain' and evidence.source <> 'run') as prior_gains,
  sum(outcome = 'against' and evidence.source <> 'run') as prior_against
from lesson join evidence on evidence.action = lesson.action and evidence.modality = lesson.modality
group by evidence.family, lesson.id, lesson.action;

create view counted_source as
select modality, family, source,
  sum(outcome = 'gain') as gains, sum(outcome = 'against') as against, sum(outcome = 'dry') as dry
from evidence group by modality, family, source;

create table lesson_count (
  lesson integer primary key,
  action text not null,
  gains integer not null,
  against integer not null,
  dry integer not null,
  prior_gains integer not null,
  prior_against integer not null,
  pack_gains integer not null,
  pack_against integer not null,
  all_gains integer not null,
  all_tried integer not null,
  all_pack_gains integer not null,
  all_pack_tried integer not null
);
insert into lesson_count select * from counted_lesson;

create table family_count (
  family text not null,
  lesson integer not null,
  action text not null,
  gains integer not null,
  against integer not null,
  dry integer not null,
  prior_gains integer not null,
  prior_against integer not null,
  primary key (family, lesson)
) without rowid;
insert into family_count select * from counted_family;

create table source_count (
  modality text not null,
  family text not null,
  source text not null,
  gains integer not null,
  against integer not null,
  dry integer not null,
  primary key (modality, family, source)
) without rowid;
insert into source_count select * from counted_source;

create trigger evidence_counted after insert on evidence begin
  delete from lesson_count where lesson in (select id from lesson where action = new.action);
  insert into lesson_count select * from counted_lesson where action = new.action;
  delete from family_count
    where family = new.family and lesson in (select id from lesson where action = new.action);
  insert into family_count select * from counted_family where action = new.action and family = new.family;
  insert into source_count values (new.modality, new.family, new.source,
    new.outcome = 'gain', new.outcome = 'against', new.outcome = 'dry')
  on conflict do update set gains = gains + excluded.gains, against = against + excluded.against, dry = dry + excluded.dry;
end;
create trigger lesson_counted after insert on lesson begin
  insert into lesson_count select * from counted_lesson where lesson = new.id;
  insert into family_count select * from counted_family where lesson = new.id;
end;
