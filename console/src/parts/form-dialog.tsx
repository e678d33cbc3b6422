import type { UseMutationResult } from '@tanstack/react-query';
import { Button, Form, type FormProps, Modal } from 'antd';
import type { ReactNode } from 'react';

import { ProblemAlert } from './problem';

interface Props<Wanted> {
  title: string;
  open: boolean;
  close: () => void;
  /** Called once the dialog is out of sight. */
  closed?: () => void;
  /** Carries out what was filled in. */
  order: UseMutationResult<unknown, Error, Wanted>;
  /** What the button says. */
  submit: string;
  disabled?: boolean;
  initialValues?: FormProps['initialValues'];
  /** The fields. */
  children: ReactNode;
}

/** A dialog that is filled in and sent off. Each time it opens it is as new. */
export function FormDialog<Wanted>({ title, open, close, closed, order, submit, disabled, initialValues, children }: Props<Wanted>) {
  const afterClose = () => {
    order.reset();
    closed?.();
  };
  return (
    <Modal open={open} onCancel={close} afterClose={afterClose} title={title} footer={null} destroyOnHidden>
      <Form layout="vertical" initialValues={initialValues} onFinish={(wanted: Wanted) => order.mutate(wanted)}>
        {children}
        <ProblemAlert error={order.error} />
        <Button className="after" type="primary" htmlType="submit" disabled={disabled} loading={order.isPending}>
          {submit}
        </Button>
      </Form>
    </Modal>
  );
}
