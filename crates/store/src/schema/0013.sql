-- Gates count each device once, by rounds: a round ends with the resume of a halted job. Waves that open let go of
-- their own tasks only, and a timeout stands still while its job is held.

alter table job add column held_at integer;
alter table job add column held_ms integer not null default 0;
alter table job rename column release to release_cursor;
alter table job add column release text;

update job set release = '{"kind":"all","cursor":' || release_cursor || '}' where release_cursor is not null;

alter table job drop column release_cursor;

alter table task add column held_before integer not null default 0;
alter table task add column lost_in integer;
alter table task add column offered_in integer;
alter table task add column failed_in integer;

update task set
    lost_in = case when lost = 1 then 0 end,
    offered_in = case when told_at is not null then 0 end,
    failed_in = case when state = 'FAILED' then 0 end
    where job_id in (select id from job where gate is not null);

alter table task drop column lost;

create index task_wave on task (job_id, wave, id) where open = 1 and wave > 0;
