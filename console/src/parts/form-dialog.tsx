import type { UseMutationResult } from '@tanstack/react-query';
import { Button, Form, type FormInstance, type FormProps, Modal } from 'antd';
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
  /** Whether the fields themselves tell why it was refused. */
  quiet?: boolean;
  /** What the button says. */
  submit: string;
  disabled?: boolean;
  initialValues?: FormProps['initialValues'];
  /** For whoever sets a field itself. */
  form?: FormInstance;
  /** The fields. */
  children: ReactNode;
}

/** A dialog that is filled in and sent off. Each time it opens it is as new; a click beside it loses nothing of it. */
export function FormDialog<Wanted>({ title, open, close, closed, order, quiet, submit, disabled, initialValues, form, children }: Props<Wanted>) {
  const afterClose = () => {
    order.reset();
    closed?.();
  };
  return (
    <Modal open={open} onCancel={close} afterClose={afterClose} title={title} footer={null} mask={{ closable: false }} keyboard={!order.isPending} destroyOnHidden>
      {/* Named, so that no field's id hides a property of the form's element, as nodeType would. */}
      <Form name="dialog" {...(form && { form })} layout="vertical" initialValues={initialValues} onFinish={(wanted: Wanted) => order.mutate(wanted)}>
        {children}
        <ProblemAlert error={quiet ? null : order.error} />
        <Button className="after" type="primary" htmlType="submit" disabled={disabled} loading={order.isPending}>
          {submit}
        </Button>
      </Form>
    </Modal>
  );
}
