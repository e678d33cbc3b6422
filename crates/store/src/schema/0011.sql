-- Groups of devices: those of a filter, or those that were added, whose names are copied so that a list by name
-- can follow a group.

create table device_group (
    id integer primary key not null,
    product_id integer not null references product (id),
    name text not null,
    description text,
    filter text,
    members integer not null,
    created_at integer not null,
    unique (product_id, name)
) strict;

create table group_member (
    group_id integer not null,
    device_id integer not null,
    device_name text not null,
    primary key (group_id, device_id)
) strict, without rowid;

create index group_member_name on group_member (group_id, device_name);
create index group_member_device on group_member (device_id);
