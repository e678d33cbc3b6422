-- Certificates by which devices come in, as their SHA-256 in lower-case hex.

create table device_certificate (
    device_id integer primary key not null references device (id),
    sha256 text not null unique
) strict;
