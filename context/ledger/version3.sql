-- Version 3: counts of evidence per action and modality, so that the lessons of a modality are ranked without adding up
-- all families each time. Like `tally`, they are kept by a trigger, and `verify` compares them with the evidence.

create table total (
  action text not null,
  modality text not null,
  source text not null,
  gains integer not null default 0,
  against integer not null default 0,
  dry integer not null default 0,
  primary key (action, modality, source)
) without rowid;
insert into total select action, modality, source, sum(gains), sum(against), sum(dry)
  from tally group by action, modality, source;
create index tally_by_family on tally (family);

create trigger family_added_up after insert on tally begin
  insert into total values (new.action, new.modality, new.source, new.gains, new.against, new.dry)
  on conflict do update set gains = gains + excluded.gains, against = against + excluded.against, dry = dry + excluded.dry;
end;
create trigger evidence_added_up after update on tally begin
  update total set gains = gains + new.gains - old.gains, against = against + new.against - old.against,
    dry = dry + new.dry - old.dry
  where action = new.action and modality = new.modality and source = new.source;
end;
