import { Statistic } from 'antd';
import { Link } from 'react-router';

import type { DeviceCounts } from '../api/types';
import { useText } from '../texts';

/** Statuses of devices, with the words of the filter language that mean them. */
const STATUSES = [
  ['online', 'device.online', 'status = online'],
  ['offline', 'device.offline', 'status = offline'],
  ['neverConnected', 'device.neverConnected', 'status = neverConnected'],
  ['disabled', 'device.disabled', 'enabled = false'],
] as const;

/** The devices of all products together. */
export function together(counts: readonly DeviceCounts[]): DeviceCounts {
  const sum = (of: keyof DeviceCounts) => counts.reduce((all, one) => all + one[of], 0);
  return { all: sum('all'), online: sum('online'), offline: sum('offline'), neverConnected: sum('neverConnected'), disabled: sum('disabled') };
}

/** Devices by status, of how many; of one product with the way to them. */
export function FleetByStatus({ of, productKey }: { of: DeviceCounts; productKey?: string }) {
  const { t, n } = useText();
  return (
    <div className="grid statuses">
      {STATUSES.map(([key, title, filter]) => (
        <Statistic
          key={key}
          title={productKey ? <Link to={`/products/${productKey}/devices?${new URLSearchParams({ filter })}`}>{t(title)}</Link> : t(title)}
          value={n(of[key])}
          suffix={<small>/ {n(of.all)}</small>}
        />
      ))}
    </div>
  );
}
