-- Waves: how far a job has come, a task's wave, and whether its device has begun and gone silent.

alter table job add column gate text;

alter table task add column wave integer not null default 0;
alter table task add column lost integer not null default 0;
