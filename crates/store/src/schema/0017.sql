-- Dynamic registration: whether a product's devices may get a secret or a token for its secret, until when those that
-- were activated may register again, and the tokens, as hashes.

alter table product add column dynamic_registration integer not null default 0;
alter table product add column without_pre_registration integer not null default 0;
alter table product add column registration_until integer;

alter table device add column registration_until integer;

create table device_token (
    device_id integer not null,
    client_id text not null,
    hash blob not null,
    created_at integer not null,
    primary key (device_id, client_id)
) strict, without rowid;
