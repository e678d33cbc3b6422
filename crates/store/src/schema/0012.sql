-- Remote configuration: the versions of each product's file, whether its devices get it and which version all are to
-- have (0: none yet), and what a device is to have, was told, has fetched and has answered (0: no version).

create table configuration (
    id integer primary key not null,
    product_id integer not null references product (id),
    version integer not null,
    sha256 text not null,
    size integer not null,
    created_at integer not null,
    unique (product_id, version)
) strict;

create index configuration_sha256 on configuration (sha256);

create table product_configuration (
    product_id integer primary key not null references product (id),
    enabled integer not null,
    pushed integer not null
) strict;

create table device_configuration (
    device_id integer primary key not null,
    product_id integer not null,
    wanted integer not null,
    told integer not null,
    told_at integer,
    fetched integer not null,
    fetched_at integer,
    answered integer not null,
    answered_at integer,
    code integer
) strict;

create index device_configuration_product on device_configuration (product_id, device_id);
