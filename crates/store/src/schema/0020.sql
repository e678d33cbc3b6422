-- How tasks ended is counted by the minute; hours become their first minutes.
alter table task_end rename column hour to minute;
update task_end set minute = minute * 60;
