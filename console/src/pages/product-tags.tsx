import { useMutation, useQueryClient } from '@tanstack/react-query';

import { api, ask, csvBody } from '../api/client';
import { LinesDialog, Outcome } from '../parts/lines-dialog';
import { useText } from '../texts';

/** Changes the tags of many devices, by a table with a column for each tag. */
export function TagsForm({ productKey, open, close }: { productKey: string; open: boolean; close: () => void }) {
  const { t, n } = useText();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (lines: string) =>
      ask(api.POST('/api/v1/products/{productKey}/device-tags', { params: { path: { productKey } }, ...csvBody(lines) })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['devices', productKey] }),
  });
  return (
    <LinesDialog
      title={t('changeTags')}
      open={open}
      close={close}
      detail={t('changeTags.detail')}
      placeholder={'deviceName,region,ring\nlamp-0001,eu,canary\nlamp-0002,us,'}
      order={order}
      outcome={({ changed, unchanged, refused }) => (
        <Outcome
          text={t('changeTags.outcome', { changed: n(changed), unchanged: n(unchanged), refused: n(refused.length) })}
          refused={refused}
        />
      )}
    />
  );
}
