-- The devices of each product: all of them, those connected, those that never were, those that may not log in.
create table device_count (
    product_id integer not null,
    status text not null,
    n integer not null,
    primary key (product_id, status)
) strict, without rowid;
insert into device_count (product_id, status, n) select product_id, 'all', count(*) from device group by product_id;
insert into device_count (product_id, status, n)
    select product_id, 'online', count(*) from device where online = 1 group by product_id;
insert into device_count (product_id, status, n)
    select product_id, 'neverConnected', count(*) from device where first_online_at is null group by product_id;
insert into device_count (product_id, status, n)
    select product_id, 'disabled', count(*) from device where enabled = 0 group by product_id;
-- Jobs by state.
create index job_state on job (state, id);
