import { useQuery } from '@tanstack/react-query';
import { Alert } from 'antd';
import { lazy, Suspense } from 'react';
import { NavLink, useParams } from 'react-router';

import { api, ask } from '../api/client';
import { Copy, NothingHere, Time } from '../parts/bits';
import { Loaded, present } from '../parts/loaded';
import { Page } from '../parts/page';
import { isAllowed } from '../parts/register-again';
import { useText } from '../texts';
import { ProductOrders, ProductSecret } from './product-change';
import { Devices } from './product-devices';
import Modules from './product-modules';
import { Packages } from './product-packages';

const Groups = lazy(() => import('./product-groups'));
const ConfigurationTab = lazy(() => import('./product-configuration'));
const Analysis = lazy(() => import('./product-analysis'));

export const useProduct = (productKey: string) =>
  useQuery({
    queryKey: ['products', productKey],
    queryFn: () => ask(api.GET('/api/v1/products/{productKey}', { params: { path: { productKey } } })),
  });

export default function ProductPage() {
  const { t } = useText();
  const { productKey = '', tab = 'devices' } = useParams();
  const product = useProduct(productKey);
  const places = [
    ['devices', t('devices'), <Devices productKey={productKey} />],
    ['packages', t('packages'), <Packages productKey={productKey} />],
    ['modules', t('modules'), <Modules productKey={productKey} />],
    ['groups', t('groups'), <Groups productKey={productKey} />],
    ['configuration', t('configuration'), <ConfigurationTab productKey={productKey} />],
    ['analysis', t('analysis'), <Analysis productKey={productKey} />],
  ] as const;
  return (
    <Page title={product.data?.name ?? productKey} within={[{ text: t('products'), to: '/products' }]} actions={present(product) && <ProductOrders product={product.data!} />}>
      <Loaded query={product}>
        {({ dynamicRegistration, registrationAllowedUntil }) => (
          <>
            <div className="row">
              <span>ProductKey</span>
              <Copy name="ProductKey" value={productKey} />
              {dynamicRegistration && <ProductSecret productKey={productKey} />}
            </div>
            {isAllowed(registrationAllowedUntil) && (
              <Alert
                type="info"
                showIcon
                title={
                  <>
                    {t('registerAgain.until')} <Time at={registrationAllowedUntil} />
                  </>
                }
              />
            )}
            <nav className="places" aria-label={product.data?.name ?? productKey}>
              {places.map(([place, label]) => (
                <NavLink key={place} to={`/products/${productKey}/${place}`} className={() => (place === tab ? 'active' : '')}>
                  {label}
                </NavLink>
              ))}
            </nav>
            <Suspense>{places.find(([place]) => place === tab)?.[2] ?? <NothingHere />}</Suspense>
          </>
        )}
      </Loaded>
    </Page>
  );
}
