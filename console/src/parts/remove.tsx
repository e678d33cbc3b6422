import { useMutation } from '@tanstack/react-query';
import { Button, type ButtonProps, Popconfirm } from 'antd';

import { useText } from '../texts';
import { ProblemAlert } from './problem';

interface Props {
  name: string;
  size?: ButtonProps['size'];
  /** What the button says, and what is asked; to remove `name` if absent. */
  what?: string;
  sure?: string;
  remove: () => Promise<unknown>;
  removed: () => Promise<unknown> | void;
}

/** Removes something once the operator is sure, or says why it stays. */
export function Remove({ name, size, what, sure, remove, removed }: Props) {
  const { t } = useText();
  const order = useMutation({ mutationFn: remove, onSuccess: removed });
  return (
    <>
      <Popconfirm title={sure ?? t('remove.sure', { name })} onConfirm={() => order.mutate()}>
        <Button danger size={size} loading={order.isPending}>
          {what ?? t('remove')}
        </Button>
      </Popconfirm>
      <ProblemAlert error={order.error} />
    </>
  );
}
