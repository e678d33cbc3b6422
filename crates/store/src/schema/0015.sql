-- Gateways: products whose devices may be one, and which gateway a sub-device belongs to.

alter table product add column node_type text not null default 'device';

create table topology (
    device_id integer primary key not null,
    gateway_id integer not null,
    added_at integer not null
) strict;

create index topology_gateway on topology (gateway_id, device_id);
