import { Alert, Button } from 'antd';
import { Component, type ReactNode, useEffect } from 'react';

import { isMissing, loadAnew, loadAnewOnce } from '../api/missing';
import { useText } from '../texts';

interface Props {
  /** Where the operator is: elsewhere it is tried again. */
  at: string;
  /** Whether more stands around it that may have been typed into. */
  isPart?: boolean;
  children: ReactNode;
}

/** A page that breaks, or a part of one, takes nothing but itself along. */
export class Boundary extends Component<Props, { error: unknown }> {
  override state = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override componentDidUpdate(before: Props) {
    if (this.state.error && before.at !== this.props.at) this.setState({ error: null });
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return isMissing(error) ? <Missing isPart={this.props.isPart} /> : <Broken />;
  }
}

function Missing({ isPart }: { isPart: boolean | undefined }) {
  useEffect(() => {
    if (isPart) return;
    const leaving = new AbortController();
    void loadAnewOnce(leaving.signal);
    return () => leaving.abort();
  }, [isPart]);
  return <Failure title="missing" detail="missing.detail" again={() => void loadAnew()} />;
}

const Broken = () => <Failure title="broken" detail="broken.detail" again={() => window.location.reload()} />;

function Failure({ title, detail, again }: { title: 'missing' | 'broken'; detail: 'missing.detail' | 'broken.detail'; again: () => void }) {
  const { t } = useText();
  return (
    <div className="page">
      <Alert type="error" role="alert" title={t(title)} description={t(detail)} action={<Button onClick={again}>{t('broken.reload')}</Button>} />
    </div>
  );
}
