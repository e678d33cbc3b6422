-- How far an attempt has come, and which version a device may still come to by a task that has ended.

alter table task add column furthest integer not null default 0;
alter table module_version add column given_up text;
