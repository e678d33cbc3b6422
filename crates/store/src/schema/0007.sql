-- What operators say of devices. `product_id` and `device_name` are the device's own and never change; they
-- let a list of devices by name follow a tag.

create table device_tag (
    device_id integer not null,
    name text not null,
    value text not null,
    product_id integer not null,
    device_name text not null,
    primary key (device_id, name)
) strict, without rowid;

create index device_tag_value on device_tag (product_id, name, value, device_name);
