-- What holds a job, how far it has let its tasks go, and which tasks need no approval, or have it.

alter table job add column hold text;
alter table job add column release integer;

alter table task add column approved integer not null default 1;
