-- Differential packages, and what packages tell devices.

alter table package add column src_version text;
alter table package add column custom text;
