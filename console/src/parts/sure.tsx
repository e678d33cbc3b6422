import { App, type ButtonProps, Button } from 'antd';
import type { ReactNode } from 'react';

import { useText } from '../texts';

interface Question {
  /** What is asked. */
  title: ReactNode;
  /** What the button that does it says. */
  yes: string;
  danger?: boolean | undefined;
  act: () => void;
}

/** Asks before something is done. The way back never has the words of the order: one of them is to cancel. */
export function useSure(): (question: Question) => void {
  const { t } = useText();
  const { modal } = App.useApp();
  return ({ title, yes, danger = false, act }) =>
    void modal.confirm({
      title,
      okText: yes,
      okButtonProps: { danger },
      cancelText: t('goBack'),
      autoFocusButton: danger ? 'cancel' : 'ok',
      onOk: act,
    });
}

interface Props extends Pick<ButtonProps, 'size' | 'loading' | 'disabled' | 'danger'> {
  title: ReactNode;
  children: string;
  act: () => void;
  /** One of many in a list: only the question stands out. */
  quiet?: boolean;
}

/** A button that asks before it does what it says. */
export function SureButton({ title, children, act, quiet, danger, ...button }: Props) {
  const sure = useSure();
  return (
    <Button {...button} danger={danger && !quiet} onClick={() => sure({ title, yes: children, danger, act })}>
      {children}
    </Button>
  );
}
