-- Version 1 of the ledger. What happened (run, evidence, exposure, operation) is append-only. A lesson is a revisable
-- claim: each change names the operation that made it, so that the lessons are a fold over the operations.

create table run (
  id text primary key,
  task text not null,
  fingerprint text not null default '',
  family text not null,
  modality text not null,
  metric text not null default '',
  seed integer not null default 0,
  model text not null default '',
  harness text not null default '',
  snapshot text not null default '',
  used_ledger integer not null default 0,
  lower_is_better integer not null default 0,
  attempts integer not null default 0,
  area real,
  final real,
  at text not null
);

create table action (
  key text primary key,
  words text not null,
  origin text not null check (origin in ('code', 'model', 'import', 'pack', 'person'))
);

create table evidence (
  id integer primary key,
  action text not null references action(key),
  run text not null,
  source text not null check (source in ('run', 'import', 'pack')),
  modality text not null,
  family text not null,
  outcome text not null check (outcome in ('gain', 'against', 'dry')),
  reason text not null default '',
  attempt integer,
  evaluation text not null default '',
  commit_before text not null default '',
  commit_after text not null default '',
  first_event integer,
  last_event integer,
  gain real,
  noise real,
  at text not null,
  unique (action, run, modality, family)
);
create index evidence_by_run on evidence (run);

create table operation (
  id integer primary key,
  kind text not null check (kind in ('add', 'edit', 'merge', 'confirm', 'retire', 'restore')),
  lesson text not null,
  change text not null,
  actor text not null check (actor in ('code', 'model', 'person')),
  at text not null
);
create index operation_by_lesson on operation (lesson);

create table lesson (
  id integer primary key,
  key text not null unique,
  operation integer not null references operation(id),
  action text not null references action(key),
  polarity integer not null check (polarity in (-1, 1)),
  modality text not null,
  situation text not null default '',
  words text not null,
  reason text not null default '',
  origin text not null check (origin in ('code', 'model', 'import', 'pack', 'person')),
  source text not null default '',
  state text not null default 'active' check (state in ('active', 'listed', 'retired')),
  created_at text not null
);
create index lesson_by_modality on lesson (modality, state);
create index lesson_by_action on lesson (action);

create table exposure (
  run text not null,
  lesson text not null,
  rank integer not null,
  kind text not null check (kind in ('shown', 'withheld')),
  primary key (run, lesson)
) without rowid;
create index exposure_by_lesson on exposure (lesson);

-- Counts of evidence, kept by the trigger below; `verify` compares them with the evidence.
create table tally (
  action text not null,
  modality text not null,
  family text not null,
  source text not null,
  gains integer not null default 0,
  against integer not null default 0,
  dry integer not null default 0,
  primary key (action, modality, family, source)
) without rowid;

create virtual table lesson_words using fts5 (
  situation, words, reason, content = 'lesson', content_rowid = 'id', tokenize = 'porter unicode61'
);

create trigger evidence_counted after insert on evidence begin
  insert into tally values (
    new.action, new.modality, new.family, new.source,
    new.outcome = 'gain', new.outcome = 'against', new.outcome = 'dry'
  ) on conflict do update set
    gains = gains + excluded.gains, against = against + excluded.against, dry = dry + excluded.dry;
end;

create trigger run_is_not_changed before update on run begin select raise(abort, 'run is append-only'); end;
create trigger run_is_not_deleted before delete on run begin select raise(abort, 'run is append-only'); end;
create trigger evidence_is_not_changed before update on evidence
  begin select raise(abort, 'evidence is append-only'); end;
create trigger evidence_is_not_deleted before delete on evidence
  begin select raise(abort, 'evidence is append-only'); end;
create trigger operation_is_not_changed before update on operation
  begin select raise(abort, 'operation is append-only'); end;
create trigger operation_is_not_deleted before delete on operation
  begin select raise(abort, 'operation is append-only'); end;
create trigger exposure_is_not_changed before update on exposure
  begin select raise(abort, 'exposure is append-only'); end;
create trigger exposure_is_not_deleted before delete on exposure
  begin select raise(abort, 'exposure is append-only'); end;

create trigger lesson_is_not_deleted before delete on lesson
  begin select raise(abort, 'a lesson is retired, never deleted'); end;
create trigger lesson_names_its_operation before insert on lesson
when not exists (select 1 from operation where id = new.operation and lesson = new.key and kind = 'add')
  begin select raise(abort, 'a new lesson needs a recorded operation'); end;
create trigger lesson_changes_by_operation before update on lesson
when new.operation <= old.operation or new.key <> old.key
  or not exists (select 1 from operation where id = new.operation and lesson = new.key)
  begin select raise(abort, 'a lesson changes by a recorded operation only'); end;

create trigger lesson_words_added after insert on lesson begin
  insert into lesson_words (rowid, situation, words, reason) values (new.id, new.situation, new.words, new.reason);
end;
create trigger lesson_words_changed after update of situation, words, reason on lesson begin
  insert into lesson_words (lesson_words, rowid, situation, words, reason)
    values ('delete', old.id, old.situation, old.words, old.reason);
  insert into lesson_words (rowid, situation, words, reason) values (new.id, new.situation, new.words, new.reason);
end;
