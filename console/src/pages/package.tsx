import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, Card, Descriptions, Tag } from 'antd';
import { useNavigate, useParams } from 'react-router';

import { api, ask } from '../api/client';
import type { Package, PackageFile } from '../api/types';
import { Copy, LinkButton, NextStep, StateTag, Time } from '../parts/bits';
import { DataTable } from '../parts/data-table';
import { JobTable } from '../parts/job-table';
import { Loaded, present } from '../parts/loaded';
import { bytes } from '../parts/numbers';
import { Page } from '../parts/page';
import { Remove } from '../parts/remove';
import { useText } from '../texts';
import { isUnproven, kindsOf } from './draft';
import { useProduct } from './product';

export const usePackage = (packageId: string) =>
  useQuery({
    queryKey: ['packages', 'one', packageId],
    enabled: packageId !== '',
    queryFn: () => ask(api.GET('/api/v1/packages/{packageId}', { params: { path: { packageId } } })),
  });

export default function PackagePage() {
  const { t } = useText();
  const { packageId = '' } = useParams();
  const query = usePackage(packageId);
  const productKey = query.data?.productKey ?? '';
  const product = useProduct(productKey);
  const within = [
    { text: t('products'), to: '/products' },
    ...(productKey ? [{ text: product.data?.name ?? productKey, to: `/products/${productKey}/packages` }] : []),
  ];
  return (
    <Page title={query.data?.name ?? packageId} within={within} actions={present(query) && <Actions of={query.data!} />}>
      <Loaded query={query}>
        {(of) => (
          <>
            {isUnproven(of) && <Alert type="info" showIcon title={t('package.unproven')} />}
            {of.state === 'VERIFYING' && <Alert type="info" showIcon title={t('package.verifying')} />}
            <Facts of={of} />
            {of.files && <Files of={of.files} />}
            <Card title={t('jobs')}>
              <JobTable
                of={['jobs', 'package', packageId]}
                query={{ packageId }}
                empty={
                  <NextStep text={t('packageJobs.empty')}>
                    <NewJob of={of} />
                  </NextStep>
                }
              />
            </Card>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function NewJob({ of, primary = false }: { of: Package; primary?: boolean }) {
  const { t } = useText();
  if (kindsOf(of).length === 0) return null;
  return (
    <LinkButton primary={primary} to={`/packages/${of.id}/new-job`}>
      {t(isUnproven(of) ? 'verifyPackage' : 'newJob')}
    </LinkButton>
  );
}

function Actions({ of }: { of: Package }) {
  const { t } = useText();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const path = { packageId: of.id };
  const jobs = useQuery({
    queryKey: ['jobs', 'package', of.id, 'latest'],
    queryFn: () => ask(api.GET('/api/v1/jobs', { params: { query: { packageId: of.id, order: 'desc', limit: 200 } } })),
  });
  return (
    <>
      <NewJob of={of} primary />
      {jobs.data?.items.some(({ endedAt }) => !endedAt) && (
        <Remove
          name={of.name}
          what={t('cancelJobs')}
          sure={t('cancelJobs.sure')}
          remove={() => ask(api.POST('/api/v1/packages/{packageId}/cancel', { params: { path } }))}
          removed={() => queries.invalidateQueries({ queryKey: ['jobs'] })}
        />
      )}
      <Remove
        name={of.name}
        sure={jobs.data?.items.length ? t('remove.package.sure', { name: of.name }) : undefined}
        remove={() => ask(api.DELETE('/api/v1/packages/{packageId}', { params: { path } }))}
        removed={() => navigate(`/products/${of.productKey}/packages`)}
      />
    </>
  );
}

function Files({ of }: { of: PackageFile[] }) {
  const { t } = useText();
  return (
    <Card title={t('files')}>
      <DataTable
        aria-label={t('files')}
        size="small"
        rowKey="fileName"
        dataSource={of}
        columns={[
          { title: t('file'), dataIndex: 'fileName' },
          { title: t('size'), render: (_, { size }) => bytes(size) },
          { title: 'MD5', render: (_, { md5 }) => <Copy name="MD5" value={md5} /> },
          { title: 'SHA-256', render: (_, { sha256 }) => <Copy name="SHA-256" value={sha256} /> },
        ]}
      />
    </Card>
  );
}

function Facts({ of }: { of: Package }) {
  const { t } = useText();
  return (
    <Card title={t('packageFacts')}>
      <Descriptions
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'version', label: t('version'), children: <Tag>{of.version}</Tag> },
          { key: 'state', label: t('state'), children: <StateTag kind="packageState" state={of.state} /> },
          { key: 'module', label: t('module'), children: of.module },
          { key: 'kind', label: t('packageKind'), children: t(of.srcVersion ? 'packageKind.diff' : 'packageKind.full') },
          ...(of.srcVersion ? [{ key: 'src', label: t('srcVersion'), children: <Tag>{of.srcVersion}</Tag> }] : []),
          ...(of.files
            ? [{ key: 'files', label: t('files'), children: t('files.count', { count: of.files.length, size: bytes(of.size) }) }]
            : [{ key: 'file', label: t('file'), children: of.fileName ? `${of.fileName} (${bytes(of.size)})` : bytes(of.size) }]),
          ...(of.imageVersion ? [{ key: 'image', label: t('imageVersion'), children: of.imageVersion }] : []),
          { key: 'sign', label: t('signMethod'), children: of.signMethod.toUpperCase() },
          ...(of.files
            ? []
            : [
                { key: 'md5', label: 'MD5', children: <Copy name="MD5" value={of.md5} /> },
                { key: 'sha256', label: 'SHA-256', children: <Copy name="SHA-256" value={of.sha256} /> },
              ]),
          { key: 'id', label: 'ID', children: <Copy name="ID" value={of.id} /> },
          { key: 'created', label: t('createdAt'), children: <Time at={of.createdAt} /> },
          ...(of.custom ? [{ key: 'custom', label: t('custom'), children: <span className="code">{of.custom}</span> }] : []),
        ]}
      />
    </Card>
  );
}
