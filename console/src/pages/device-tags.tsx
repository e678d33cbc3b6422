import { useQueryClient } from '@tanstack/react-query';
import { Button, Form, Select, Tag } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import type { Device } from '../api/types';
import { ChangeDialog } from '../parts/change-dialog';
import { isTag, tagsOf } from '../parts/tags';
import { useText } from '../texts';
import type { Path } from './device';

/** What operators say of a device, as `name=value`. */
export function Tags({ path, tags }: { path: Path; tags: Device['tags'] }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [before, setBefore] = useState<Device['tags'] | null>(null);
  const allTags = (written: string[]) => {
    const wrong = written.find((tag) => !isTag(tag));
    return wrong === undefined ? Promise.resolve() : Promise.reject(new Error(t('tags.wrong', { tag: wrong })));
  };
  const written = (tags: Device['tags']) => Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  return (
    <div className="row">
      {written(tags).map((tag) => (
        <Tag key={tag}>{tag}</Tag>
      ))}
      <Button size="small" onClick={() => setBefore(tags)}>
        {t('changeTags')}
      </Button>
      <ChangeDialog
        title={t('changeTags')}
        before={before}
        close={() => setBefore(null)}
        nameOf={(tag) => tag}
        form={{ initialValues: { tags: written(before ?? {}) }, fields: (wanted) => tagsOf((wanted['tags'] ?? []) as string[]) }}
        send={(change, expected) =>
          ask(
            api.PATCH('/api/v1/products/{productKey}/devices/{deviceName}', {
              params: { path },
              body: { tags: change, expected: { tags: expected } } as never,
            }),
          )
        }
        sent={() => queries.invalidateQueries({ queryKey: ['device', path.productKey, path.deviceName] })}
      >
        <Form.Item name="tags" label={t('tags')} extra={t('tags.detail')} rules={[{ validator: (_, written: string[] = []) => allTags(written) }]}>
          <Select mode="tags" autoFocus placeholder="region=eu" open={false} suffixIcon={null} tokenSeparators={['\n']} />
        </Form.Item>
      </ChangeDialog>
    </div>
  );
}
