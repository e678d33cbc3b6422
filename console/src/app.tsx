import {
  AppstoreOutlined,
  CloudServerOutlined,
  DashboardOutlined,
  HistoryOutlined,
  MenuOutlined,
  RocketOutlined,
  SettingOutlined,
} from '@ant-design/icons';
import { Alert, Button, Drawer, Grid, Layout, Menu, Modal, Spin } from 'antd';
import { lazy, Suspense, useState, useSyncExternalStore } from 'react';
import { Link, Navigate, Route, Routes, useLocation } from 'react-router';

import { reachable } from './api/client';
import { session, signOut } from './api/session';
import { Boundary } from './parts/boundary';
import { Page } from './parts/page';
import { SignInForm, SignInPage } from './pages/sign-in';
import { useText } from './texts';

const Overview = lazy(() => import('./pages/overview'));
const Products = lazy(() => import('./pages/products'));
const ProductPage = lazy(() => import('./pages/product'));
const DevicePage = lazy(() => import('./pages/device'));
const GroupPage = lazy(() => import('./pages/group'));
const PackagePage = lazy(() => import('./pages/package'));
const Jobs = lazy(() => import('./pages/jobs'));
const NewJobPage = lazy(() => import('./pages/new-job'));
const JobPage = lazy(() => import('./pages/job'));
const Events = lazy(() => import('./pages/events'));
const Health = lazy(() => import('./pages/health'));
const Settings = lazy(() => import('./pages/settings'));

export function App() {
  const { token } = useSyncExternalStore(session.subscribe, session.get);
  return token ? <Frame /> : <SignInPage />;
}

function Frame() {
  const { t } = useText();
  const wide = Grid.useBreakpoint().md ?? true;
  const [open, setOpen] = useState(false);
  const { pathname } = useLocation();
  return (
    <Layout className="frame">
      <a className="skip-link" href="#content">
        {t('skipToContent')}
      </a>
      {wide ? (
        <Layout.Sider theme="light" width={200}>
          <Brand />
          <Navigation />
        </Layout.Sider>
      ) : (
        <Drawer title={<Brand />} placement="left" size={260} open={open} onClose={() => setOpen(false)}>
          <Navigation onChoose={() => setOpen(false)} />
        </Drawer>
      )}
      <Layout>
        {!wide && (
          <div className="row bar">
            <Button icon={<MenuOutlined />} aria-label={t('menu')} onClick={() => setOpen(true)} />
            <Brand />
          </div>
        )}
        <Away />
        <SignInAgain />
        <main id="content" tabIndex={-1}>
          <Boundary at={pathname}>
            <Suspense fallback={<Spin className="page" />}>
              <Pages />
            </Suspense>
          </Boundary>
        </main>
      </Layout>
    </Layout>
  );
}

function Pages() {
  const { t } = useText();
  return (
    <Routes>
      <Route index element={<Overview />} />
      <Route path="products" element={<Products />} />
      <Route path="products/:productKey/:tab?" element={<ProductPage />} />
      <Route path="products/:productKey/devices/:deviceName" element={<DevicePage />} />
      <Route path="products/:productKey/groups/:group" element={<GroupPage />} />
      <Route path="packages/:packageId" element={<PackagePage />} />
      <Route path="packages/:packageId/new-job" element={<NewJobPage />} />
      <Route path="jobs" element={<Jobs />} />
      <Route path="jobs/:jobId" element={<JobPage />} />
      <Route path="events" element={<Events />} />
      <Route path="health" element={<Health />} />
      <Route path="settings" element={<Settings />} />
      <Route path="sign-in" element={<Navigate to="/" replace />} />
      <Route path="*" element={<Page title={t('nothingHere')}>{t('nothingHere.detail')}</Page>} />
    </Routes>
  );
}

function Brand() {
  return (
    <Link to="/" className="brand">
      <img src="/icon.svg" width={24} height={24} alt="" /> Otaru
    </Link>
  );
}

function Navigation({ onChoose }: { onChoose?: () => void }) {
  const { t } = useText();
  const { pathname } = useLocation();
  const entries = [
    ['/', t('overview'), <DashboardOutlined />],
    ['/products', t('products'), <AppstoreOutlined />],
    ['/jobs', t('jobs'), <RocketOutlined />],
    ['/events', t('events'), <HistoryOutlined />],
    ['/health', t('health'), <CloudServerOutlined />],
    ['/settings', t('settings'), <SettingOutlined />],
  ] as const;
  const place = pathname.startsWith('/packages') ? '/products' : `/${pathname.split('/')[1]}`;
  return (
    <nav aria-label={t('menu')}>
      <Menu
        mode="inline"
        selectedKeys={[place]}
        onClick={() => onChoose?.()}
        items={[
          ...entries.map(([to, text, icon]) => ({ key: to, icon, label: <Link to={to}>{text}</Link> })),
          { key: 'sign-out', label: t('signOut'), onClick: signOut },
        ]}
      />
    </nav>
  );
}

/** Says that the platform does not answer, for as long as it does not. */
function Away() {
  const { t } = useText();
  const here = useSyncExternalStore(reachable.subscribe, reachable.get);
  return here ? null : <Alert banner type="warning" role="alert" title={t('unreachable')} description={t('unreachable.detail')} />;
}

/** A token that is refused in the middle of something takes nothing away of what was typed. */
function SignInAgain() {
  const { t } = useText();
  const { refused } = useSyncExternalStore(session.subscribe, session.get);
  return (
    <Modal open={refused} title={t('signInAgain')} footer={null} closable={false} destroyOnHidden>
      <p>{t('signInAgain.detail')}</p>
      <SignInForm />
    </Modal>
  );
}
