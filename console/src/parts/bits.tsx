import { Button, Empty, Tag, Typography } from 'antd';
import type { ReactNode } from 'react';
import { Link, useNavigate } from 'react-router';

import { useText } from '../texts';
import { timeText } from './clock';

/** A time as the operator's clock tells it. */
export function Time({ at }: { at?: string | null | undefined }) {
  const { language } = useText();
  if (!at) return <>–</>;
  return (
    <time dateTime={at} title={at}>
      {timeText(language, at)}
    </time>
  );
}

const LOOKS: Record<string, string> = {
  SUCCEEDED: 'good',
  COMPLETED: 'good',
  VERIFIED: 'good',
  FAILED: 'bad',
  IN_PROGRESS: 'busy',
  NOTIFIED: 'busy',
  VERIFYING: 'busy',
  CONFIRM: 'asks',
  UNVERIFIED: 'asks',
};

/** The state of a task, job or package. */
export function StateTag({ kind, state, looks }: { kind: 'taskState' | 'jobState' | 'packageState'; state: string; looks?: string | undefined }) {
  const { code } = useText();
  return <Tag className={looks ?? LOOKS[state]}>{code(kind, state)}</Tag>;
}

export function OnlineTag({ device }: { device: { online: boolean; enabled: boolean; firstOnlineAt?: string | null } }) {
  const { t } = useText();
  if (!device.enabled) return <Tag className="bad">{t('device.disabled')}</Tag>;
  if (device.online) return <Tag className="good">{t('device.online')}</Tag>;
  return <Tag>{device.firstOnlineAt ? t('device.offline') : t('device.neverConnected')}</Tag>;
}

export const devicePath = (productKey: string, deviceName: string) => `/products/${productKey}/devices/${encodeURIComponent(deviceName)}`;

export const groupPath = ({ productKey, group }: { productKey: string; group: string }) => `/products/${productKey}/groups/${encodeURIComponent(group)}`;

export function DeviceLink({ productKey, deviceName }: { productKey: string; deviceName: string }) {
  return <Link to={devicePath(productKey, deviceName)}>{deviceName}</Link>;
}

/** A value to be pasted elsewhere. */
export function Copy({ value, name }: { value: string; name: string }) {
  const { t } = useText();
  const tooltips: [string, string] = [t('copy', { name }), t('copied')];
  return (
    <Typography.Text className="code" data-copy={name} copyable={{ text: value, tooltips }}>
      {value}
    </Typography.Text>
  );
}

/** An empty place that says what comes next. */
export function NextStep({ text, children }: { text: string; children?: ReactNode }) {
  return (
    <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={text}>
      {children}
    </Empty>
  );
}

/** An address that leads nowhere, said within the page around it. */
export function NothingHere() {
  const { t } = useText();
  return <NextStep text={`${t('nothingHere')}. ${t('nothingHere.detail')}`} />;
}

/** A link that looks like a button. */
export function LinkButton({ to, primary, children }: { to: string; primary?: boolean; children: ReactNode }) {
  const navigate = useNavigate();
  return (
    <Button
      type={primary ? 'primary' : 'default'}
      href={to}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey) return;
        event.preventDefault();
        void navigate(to);
      }}
    >
      {children}
    </Button>
  );
}
