import { useMutation } from '@tanstack/react-query';
import { Button, type ButtonProps, Popconfirm } from 'antd';

import { useText } from '../texts';
import { ProblemAlert } from './problem';

interface Props {
  name: string;
  size?: ButtonProps['size'];
  remove: () => Promise<unknown>;
  removed: () => Promise<unknown> | void;
}

/** Removes something once the operator is sure, or says why it stays. */
export function Remove({ name, size, remove, removed }: Props) {
  const { t } = useText();
  const order = useMutation({ mutationFn: remove, onSuccess: removed });
  return (
    <>
      <Popconfirm title={t('remove.sure', { name })} onConfirm={() => order.mutate()}>
        <Button danger size={size} loading={order.isPending}>
          {t('remove')}
        </Button>
      </Popconfirm>
      <ProblemAlert error={order.error} />
    </>
  );
}
