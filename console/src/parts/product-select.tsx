import { useQuery } from '@tanstack/react-query';
import { Select } from 'antd';

import { api, ask } from '../api/client';
import { all } from '../api/pages';
import { FLEET } from '../api/touched';
import { useText } from '../texts';

/** All products; asked for again with each change of their devices' numbers only where those are shown. */
export const useProducts = (shown: 'names' | 'fleet' = 'names') =>
  useQuery({
    queryKey: shown === 'fleet' ? FLEET : ['products', 'all'],
    queryFn: () => all((cursor) => ask(api.GET('/api/v1/products', { params: { query: { cursor, limit: 200 } } }))),
  });

/** Narrows a list to one product, or to none. */
export function ProductSelect({ value, use }: { value: string | undefined; use: (productKey: string | undefined) => void }) {
  const { t } = useText();
  const products = useProducts();
  return (
    <Select
      aria-label={t('product')}
      className="field"
      allowClear
      showSearch={{ optionFilterProp: 'label' }}
      placeholder={t('product')}
      value={value}
      onChange={use}
      options={(products.data ?? []).map(({ productKey, name }) => ({ value: productKey, label: name }))}
    />
  );
}
