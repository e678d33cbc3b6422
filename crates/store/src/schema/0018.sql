-- Packages of several files: the files after the first, as JSON.

alter table package add column more_files text not null default '[]';

create index package_several on package (length(more_files)) where more_files <> '[]';
