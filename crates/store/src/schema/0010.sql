-- Dynamic jobs: those that may take a device are found by its product.

alter table job add column closed_at integer;

create index job_dynamic on job (product_id) where kind = 'DYNAMIC' and ended_at is null;
