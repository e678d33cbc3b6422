-- Maintenance windows and byte budgets: the zone of a product's devices, until when what a job offered uses up its
-- budget, and the first progress of an attempt.

alter table product add column timezone text;

alter table job add column offered_until_us integer not null default 0;

alter table task add column begun_at integer;

update task set begun_at = first_progress_at where state = 'IN_PROGRESS' and tries = 1;
