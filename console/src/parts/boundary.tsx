import { Alert, Button } from 'antd';
import { Component, type ReactNode } from 'react';

import { useText } from '../texts';

/** A page that breaks takes nothing but itself along. */
export class Boundary extends Component<{ at: string; children: ReactNode }, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError() {
    return { broken: true };
  }

  override componentDidUpdate(before: { at: string }) {
    if (this.state.broken && before.at !== this.props.at) this.setState({ broken: false });
  }

  override render() {
    return this.state.broken ? <Broken /> : this.props.children;
  }
}

function Broken() {
  const { t } = useText();
  return (
    <div className="page">
      <Alert
        type="error"
        role="alert"
        title={t('broken')}
        description={t('broken.detail')}
        action={<Button onClick={() => window.location.reload()}>{t('broken.reload')}</Button>}
      />
    </div>
  );
}
