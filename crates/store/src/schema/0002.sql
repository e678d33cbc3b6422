-- Whether two clients seem to use a device's identity.

alter table device add column rivalry text;
