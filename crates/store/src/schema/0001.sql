-- Written for SQLite; dialect::ddl turns its type words into PostgreSQL's.
-- Times are milliseconds since 1970 UTC. Enumerations are words, compound values JSON.

create table meta (
    name text primary key not null,
    value text not null
) strict, without rowid;

-- `event` numbers events and holds the time of the last one; `stream` gives stream numbers.
create table counter (
    name text primary key not null,
    value integer not null,
    at integer not null
) strict, without rowid;

insert into counter (name, value, at) values ('event', 0, 0), ('stream', 0, 0);

create table product (
    id integer primary key not null,
    product_key text not null unique,
    name text not null,
    settle_ms integer not null,
    grace_ms integer not null,
    created_at integer not null,
    secret blob not null
) strict;

create table device (
    id integer primary key not null,
    product_id integer not null references product (id),
    name text not null,
    enabled integer not null,
    first_online_at integer,
    last_online_at integer,
    last_offline_at integer,
    created_at integer not null,
    secret blob not null,
    online integer not null default 0,
    unique (product_id, name)
) strict;

create index device_online on device (product_id, online, name);
create index device_enrol on device (product_id, id) where first_online_at is not null and enabled = 1;

-- `node` names the server that holds the connection once there are many; '' is the only one.
create table session (
    device_id integer primary key not null,
    epoch integer not null,
    connected_at integer not null,
    node text not null default ''
) strict;

create table module_version (
    device_id integer not null,
    module text not null,
    version text not null,
    epoch integer not null,
    first_reported_at integer not null,
    reported_at integer not null,
    primary key (device_id, module)
) strict, without rowid;

create table module (
    product_id integer not null references product (id),
    folded text not null,
    name text not null,
    alias text,
    description text,
    created_at integer not null,
    primary key (product_id, folded)
) strict, without rowid;

create table package (
    id integer primary key not null,
    product_id integer not null references product (id),
    name text not null,
    module text not null,
    version text not null,
    sign_method text not null,
    size integer not null,
    md5 text not null,
    sha256 text not null,
    file_name text not null,
    image_version text,
    state text not null,
    created_at integer not null
) strict;

create index package_product on package (product_id, id);
create index package_module on package (product_id, module, id);
create index package_sha256 on package (sha256);

create table job (
    id integer primary key not null,
    product_id integer not null,
    package_id integer not null,
    kind text not null,
    state text not null,
    scope text not null,
    need_push integer not null,
    protocol text not null,
    timeout_ms integer,
    rate_per_minute integer not null,
    next_push_us integer not null,
    work text,
    created_at integer not null,
    ended_at integer
) strict;

create index job_product on job (product_id, id);
create index job_package on job (package_id, id);

create table job_target (
    job_id integer not null,
    device_id integer not null,
    primary key (job_id, device_id)
) strict, without rowid;

create table job_count (
    job_id integer not null,
    state text not null,
    n integer not null,
    primary key (job_id, state)
) strict, without rowid;

-- No foreign keys: every report would pay for them. `open` is 1 until the task has ended.
create table task (
    id integer primary key not null,
    job_id integer not null,
    product_id integer not null,
    package_id integer not null,
    device_id integer not null,
    module text not null,
    stream_id integer not null,
    state text not null,
    progress integer not null,
    src_version text,
    dest_version text not null,
    attempt integer not null,
    pushes integer not null,
    told_epoch integer not null,
    told_at integer,
    ready_at integer,
    slot_until integer,
    first_progress_at integer,
    reason text,
    created_at integer not null,
    updated_at integer not null,
    open integer not null
) strict;

create unique index task_stream on task (stream_id);
create index task_job on task (job_id, state, id);
create index task_device on task (device_id, id);
create index task_open on task (device_id) where open = 1;
create index task_ready on task (job_id, ready_at, id) where ready_at is not null;
create index task_slot on task (slot_until) where slot_until is not null;

create table timer (
    kind text not null,
    subject integer not null,
    at integer not null,
    primary key (kind, subject)
) strict, without rowid;

create index timer_due on timer (at, kind, subject);

create table event (
    seq integer primary key not null,
    at integer not null,
    product_id integer not null,
    device_id integer,
    job_id integer,
    task_id integer,
    kind text not null
) strict;

create index event_product on event (product_id, seq);
create index event_device on event (device_id, seq) where device_id is not null;
create index event_job on event (job_id, seq) where job_id is not null;

create table idempotency (
    name text primary key not null,
    request_hash text not null,
    response text not null,
    at integer not null
) strict, without rowid;

create index idempotency_at on idempotency (at);
