-- Roll-ups: the devices by version, how that changed in each hour, and how tasks ended.
-- The version '' stands for all versions of a module together; hours count from 1970.

create table version_count (
    product_id integer not null,
    module text not null,
    version text not null,
    n integer not null,
    primary key (product_id, module, version)
) strict, without rowid;

create index version_count_n on version_count (product_id, module, n);

create table version_change (
    product_id integer not null,
    module text not null,
    hour integer not null,
    version text not null,
    n integer not null,
    primary key (product_id, module, hour, version)
) strict, without rowid;

create index version_change_hour on version_change (hour);

create table task_end (
    job_id integer not null,
    hour integer not null,
    state text not null,
    reason text not null,
    product_id integer not null,
    package_id integer not null,
    n integer not null,
    timed integer not null,
    total_ms integer not null,
    longest_ms integer not null,
    primary key (job_id, hour, state, reason)
) strict, without rowid;

create index task_end_product on task_end (product_id, hour);
create index task_end_package on task_end (package_id, hour);
create index task_end_hour on task_end (hour);

insert into version_count (product_id, module, version, n)
    select device.product_id, module_version.module, module_version.version, count(*)
    from module_version join device on device.id = module_version.device_id
    group by device.product_id, module_version.module, module_version.version;
insert into version_count (product_id, module, version, n)
    select product_id, module, '', sum(n) from version_count group by product_id, module;
