-- Attempts: how many, when the next begins, how long the device may take to begin it.

alter table job add column terms text not null default '{}';

alter table task add column tries integer not null default 1;
alter table task add column retry_at integer;
alter table task add column idle_pushes integer not null default 0;
alter table task add column start_clock text;
alter table task add column heard_at integer;
alter table task add column done_at integer;
alter table task add column device_error text;

update task set heard_at = updated_at where state = 'IN_PROGRESS';
update task set done_at = updated_at where state = 'IN_PROGRESS' and progress = 100;
