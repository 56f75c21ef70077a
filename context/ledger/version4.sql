-- Version 4: one row of counts per action and modality, over all sources and families, so that the lessons of a run are
-- chosen without adding anything up. `prior_`: from imports and packs. `all_`: over all modalities, equal in all rows of
-- an action. Kept by a trigger; `verify` compares them with the evidence.

drop trigger family_added_up;
drop trigger evidence_added_up;
drop table total;
drop index tally_by_family;
create index tally_by_family on tally (family, source);

create table total (
  action text not null,
  modality text not null,
  gains integer not null default 0,
  against integer not null default 0,
  dry integer not null default 0,
  prior_gains integer not null default 0,
  prior_against integer not null default 0,
  all_gains integer not null default 0,
  all_tried integer not null default 0,
  primary key (action, modality)
) without rowid;

insert into total
select action, modality, sum(gains), sum(against), sum(dry),
  sum(iif(source = 'run', 0, gains)), sum(iif(source = 'run', 0, against)), all_gains, all_tried
from tally join (
  select action, sum(gains) as all_gains, sum(gains + against + dry) as all_tried from tally group by action
) using (action)
group by action, modality;

create trigger evidence_added_up after insert on evidence begin
  insert into total (action, modality, all_gains, all_tried)
    select new.action, new.modality, ifnull(max(all_gains), 0), ifnull(max(all_tried), 0)
    from total where action = new.action
    on conflict do nothing;
  update total set
    gains = gains + (new.outcome = 'gain'),
    against = against + (new.outcome = 'against'),
    dry = dry + (new.outcome = 'dry'),
    prior_gains = prior_gains + (new.outcome = 'gain' and new.source <> 'run'),
    prior_against = prior_against + (new.outcome = 'against' and new.source <> 'run')
    where action = new.action and modality = new.modality;
  update total set all_gains = all_gains + (new.outcome = 'gain'), all_tried = all_tried + 1
    where action = new.action;
end;
